package dev.bulkgen.cli.bench;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.backend.cpu.Arithmetic;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelWeights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What must hold before a time means anything. */
final class AnswerCheck {
  // Long enough that coded pages are read in the decode steps that follow.
  private static final int PROMPT_TOKENS = 150;
  private static final int STEPS = 3;

  private AnswerCheck() {}

  /** Compares the logits of a prompt and some decode steps, bit by bit. */
  static void vectorizedEqualsPlain(ModelWeights weights, CacheLayout layout, int threads) {
    List<float[]> plain = logits(weights, layout, threads, Arithmetic.SCALAR);
    List<float[]> vectorized = logits(weights, layout, threads, Arithmetic.VECTOR);
    for (int step = 0; step < plain.size(); step++) {
      int different = Arrays.mismatch(bits(plain.get(step)), bits(vectorized.get(step)));
      if (different >= 0) {
        throw BulkgenException.of(
            ErrorCode.INTERNAL,
            "%s, step %d, token %d: vectorized logit %s is not the plain %s; nothing was timed",
            layout.policy().name(),
            step,
            different,
            vectorized.get(step)[different],
            plain.get(step)[different]);
      }
    }
  }

  private static List<float[]> logits(
      ModelWeights weights, CacheLayout layout, int threads, Arithmetic arithmetic) {
    int pages = layout.layers() * layout.pagesPerLayer(PROMPT_TOKENS + STEPS);
    CacheCapacity capacity = new CacheCapacity(pages, 1, PROMPT_TOKENS + STEPS);
    PagePool pool = new PagePool(pages);
    SequenceCache cache = new SequenceCache(0, layout.layers());
    List<float[]> rows = new ArrayList<>();
    try (Backend backend = CpuBackend.open(weights, layout, capacity, threads, arithmetic)) {
      int[] tokens = new BenchPrompts(weights.config().vocabSize()).ids(0, PROMPT_TOKENS);
      for (int step = 0; step <= STEPS; step++) {
        pool.grow(cache.pages(), layout.pagesPerLayer(cache.length() + tokens.length));
        SequenceStep sequence =
            new SequenceStep(cache, tokens, (row, offset, size) -> 0, LogitsRequest.LAST);
        StepOutput output = backend.forward(new StepBatch(List.of(sequence)));
        if (!(output.sequences().get(0) instanceof StepOutput.Token token)) {
          throw new BulkgenException(ErrorCode.INTERNAL, "the check's forward pass failed");
        }
        rows.add(token.logits()[0]);
        cache.advance(tokens.length);
        tokens = new int[] {step + 1};
      }
    }
    return rows;
  }

  private static int[] bits(float[] values) {
    int[] bits = new int[values.length];
    for (int i = 0; i < values.length; i++) {
      bits[i] = Float.floatToRawIntBits(values[i]);
    }
    return bits;
  }
}
