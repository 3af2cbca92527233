package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.cuda.DeviceMemory;
import dev.bulkgen.backend.cuda.Pieces;
import dev.bulkgen.backend.cuda.PrefillAttentionKernels;
import dev.bulkgen.backend.cuda.PromptView;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.tensor.DType;
import java.util.SplittableRandom;

/** Causal attention of prompts to themselves, side by side. */
final class PromptAttentionBench {
  private static final int CHECKED = 16;

  private final Device device;
  private final BenchSizes sizes;
  private final RoofBench.Roofs roofs;
  private final RandomNumbers queries = new RandomNumbers(DType.F32, 1, 5);
  private final RandomNumbers keys = new RandomNumbers(DType.F16, 1, 6);
  private final RandomNumbers values = new RandomNumbers(DType.F16, 1, 7);

  PromptAttentionBench(Device device, BenchSizes sizes, RoofBench.Roofs roofs) {
    this.device = device;
    this.sizes = sizes;
    this.roofs = roofs;
  }

  void measure(Figures figures) {
    for (AttentionShape heads : sizes.heads()) {
      device.run(() -> measure(heads, figures));
    }
  }

  private void measure(AttentionShape heads, Figures figures) {
    int prompts = sizes.prompts();
    int length = sizes.promptTokens();
    int rows = prompts * length;
    DeviceMemory query = device.take(queries, (long) rows * heads.queryWidth(), "queries");
    DeviceMemory key = device.take(keys, (long) rows * heads.kvWidth(), "keys");
    DeviceMemory value = device.take(values, (long) rows * heads.kvWidth(), "values");
    DeviceMemory out = device.take((long) Pieces.BYTES * rows * heads.queryWidth(), "attended");
    int[] firstRow = new int[prompts];
    int[] lengths = new int[prompts];
    for (int prompt = 0; prompt < prompts; prompt++) {
      firstRow[prompt] = prompt * length;
      lengths[prompt] = length;
    }
    int[] none = new int[prompts];
    PromptView side =
        new PromptView(
            key.address(),
            value.address(),
            device.take("first rows", firstRow).address(),
            device.take("lengths", lengths).address(),
            device.take("earlier tokens", none).address(),
            device.take("slots", none).address(),
            PromptView.Kept.NONE);
    PrefillAttentionKernels.Queries queried =
        new PrefillAttentionKernels.Queries(query.address(), 0);
    PrefillAttentionKernels kernels = new PrefillAttentionKernels(device.kernels(), heads, 1);
    PrefillAttentionKernels.Tiles tiles = tiles(prompts, length);
    Pieces attended = Pieces.of(out.address(), DType.BF16, 1, rows, heads.queryWidth());
    kernels.attend(device.stream, queried, side, 0, tiles, attended);
    checkAnswers(heads, out, attended);
    double seconds =
        device.timer.median(
            "prefill attention",
            call -> kernels.attend(device.stream, queried, side, 0, tiles, attended));
    double pairs = prompts * (double) length * (length + 1) / 2;
    double rate = 4 * pairs * heads.queryWidth() / seconds;
    figures.add(
        Figure.of(
                "prefill attention",
                Figure.settings("heads", HeadNames.of(heads), "prompts", prompts, "tokens", length),
                rate / 1e12,
                "TFLOP/s")
            .under(roofs.operationsPerSecond() / 1e12, "tensor cores"));
  }

  /** Tiles with the most keys first. */
  private PrefillAttentionKernels.Tiles tiles(int prompts, int length) {
    int each = (length - 1) / PrefillAttentionKernels.QUERY_TILE + 1;
    int[] sequence = new int[prompts * each];
    int[] start = new int[prompts * each];
    for (int i = 0; i < sequence.length; i++) {
      sequence[i] = i % prompts;
      start[i] = (each - 1 - i / prompts) * PrefillAttentionKernels.QUERY_TILE;
    }
    return new PrefillAttentionKernels.Tiles(
        sequence.length,
        device.take("tiles' sequences", sequence).address(),
        device.take("tiles' starts", start).address());
  }

  private void checkAnswers(AttentionShape heads, DeviceMemory out, Pieces attended) {
    SplittableRandom random = new SplittableRandom(8);
    int length = sizes.promptTokens();
    for (int i = 0; i < CHECKED; i++) {
      int prompt = random.nextInt(sizes.prompts());
      int token = i == 0 ? length - 1 : random.nextInt(length);
      int head = random.nextInt(heads.queryHeads());
      int kvHead = head / heads.groupSize();
      int row = prompt * length + token;
      long first = (long) prompt * length * heads.kvWidth() + kvHead * heads.headDim();
      ExactAttention exact = new ExactAttention(heads.headDim());
      float[] query = new float[heads.headDim()];
      for (int d = 0; d < query.length; d++) {
        query[d] = queries.at((long) row * heads.queryWidth() + head * heads.headDim() + d);
      }
      for (int position = 0; position <= token; position++) {
        long at = first + (long) position * heads.kvWidth();
        exact.attend(query, d -> keys.at(at + d), d -> values.at(at + d));
      }
      int channel = random.nextInt(heads.headDim());
      long index = (long) row * attended.stride() + head * heads.headDim() + channel;
      exact.check(
          "prefill attention, row " + row + ", head " + head,
          channel,
          device.numberAt(out, attended, index));
    }
  }
}
