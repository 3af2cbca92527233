package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.cuda.DecodeAttentionKernels;
import dev.bulkgen.backend.cuda.DeviceMemory;
import dev.bulkgen.backend.cuda.Pieces;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.PolicyComparison;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.tensor.DType;
import java.util.Map;
import java.util.SplittableRandom;

/** Attention of one new token of each sequence to its cache, and what fills the cache. */
final class CachedAttentionBench {
  private static final int CHECKED = 6;
  private static final int CHECKED_CHANNELS = 4;

  private final Device device;
  private final BenchSizes sizes;
  private final RoofBench.Roofs roofs;

  CachedAttentionBench(Device device, BenchSizes sizes, RoofBench.Roofs roofs) {
    this.device = device;
    this.sizes = sizes;
    this.roofs = roofs;
  }

  void measure(Figures figures) {
    for (AttentionShape heads : sizes.heads()) {
      for (CachePolicy policy : sizes.policies()) {
        device.run(() -> measure(heads, policy, figures));
      }
    }
  }

  private void measure(AttentionShape heads, CachePolicy policy, Figures figures) {
    CacheLayout layout = new CacheLayout(policy, 1, heads.kvHeads(), heads.headDim());
    FilledCache cache = new FilledCache(device, layout, heads, sizes.batch(), sizes.context());
    Map<String, Object> settings =
        Figure.settings(
            "kv_cache", PolicyComparison.displayName(policy),
            "heads", HeadNames.of(heads),
            "batch", sizes.batch(),
            "context", sizes.context());
    cache.storePrompts();
    cache.appendToken();
    measureAttention(cache, heads, settings, figures);
    CacheTraffic traffic = new CacheTraffic(layout, sizes.batch(), sizes.context());
    double seconds = device.timer.median("store prompts", call -> cache.storePrompts());
    figures.add(
        Figure.of("store prompts", settings, traffic.storedBytes() / seconds / 1e9, "GB/s")
            .under(roofs.bytesPerSecond() / 1e9, "copy"));
    if (cache.flushes()) {
      // What was appended is what the flush looks for.
      cache.appendToken();
      double flush = device.timer.median("flush", call -> cache.flush());
      figures.add(Figure.of("flush of windows", settings, 1e6 * flush, "us"));
    }
  }

  private void measureAttention(
      FilledCache cache, AttentionShape heads, Map<String, Object> settings, Figures figures) {
    int batch = sizes.batch();
    DecodeAttentionKernels kernels =
        new DecodeAttentionKernels(device.kernels(), heads, cache.layout(), 1);
    int splits = kernels.splits(sizes.context());
    long count = kernels.partialCount(batch, splits);
    DeviceMemory partialOut = device.take(Float.BYTES * count, "splits");
    DeviceMemory partialMax = device.take(Float.BYTES * count / heads.headDim(), "maxima");
    DeviceMemory partialSum = device.take(Float.BYTES * count / heads.headDim(), "sums");
    DecodeAttentionKernels.Partials partials =
        new DecodeAttentionKernels.Partials(
            splits, partialOut.address(), partialMax.address(), partialSum.address());
    DeviceMemory out = device.take((long) Pieces.BYTES * batch * heads.queryWidth(), "attended");
    Pieces attended = Pieces.of(out.address(), DType.BF16, 1, batch, heads.queryWidth());
    Runnable attend =
        () -> {
          kernels.attend(device.stream, cache.view(), 0, cache.rows(), partials);
          kernels.merge(device.stream, cache.rows(), partials, attended);
        };
    attend.run();
    checkAnswers(cache, heads, out, attended);
    double seconds = device.timer.median("decode attention", call -> attend.run());
    CacheTraffic traffic = new CacheTraffic(cache.layout(), batch, sizes.context());
    figures.add(
        Figure.of("decode attention", settings, traffic.attendedBytes() / seconds / 1e9, "GB/s")
            .under(roofs.bytesPerSecond() / 1e9, "copy"));
    figures.add(Figure.of("  time", settings, 1e6 * seconds, "us"));
  }

  private void checkAnswers(
      FilledCache cache, AttentionShape heads, DeviceMemory out, Pieces attended) {
    SplittableRandom random = new SplittableRandom(9);
    for (int i = 0; i < CHECKED; i++) {
      int row = i == 0 ? sizes.batch() - 1 : random.nextInt(sizes.batch());
      int head = i == 0 ? heads.queryHeads() - 1 : random.nextInt(heads.queryHeads());
      ExactAttention exact = new ExactAttention(heads.headDim());
      CacheContent content = cache.content(row, head / heads.groupSize());
      float[] query = cache.query(row, head);
      for (int position = 0; position < sizes.context(); position++) {
        float[] key = content.key(position);
        float[] value = content.value(position);
        exact.attend(query, d -> key[d], d -> value[d]);
      }
      for (int checked = 0; checked < CHECKED_CHANNELS; checked++) {
        int channel = random.nextInt(heads.headDim());
        long index = (long) row * attended.stride() + head * heads.headDim() + channel;
        exact.check(
            "decode attention "
                + cache.layout().policy().name()
                + ", row "
                + row
                + ", head "
                + head,
            channel,
            device.numberAt(out, attended, index));
      }
    }
  }
}
