package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.model.AttentionShape;
import java.util.List;
import java.util.OptionalInt;

/**
 * What is measured.
 *
 * @param copyBytes of the copy that gives the memory roof
 * @param registerBlocks and {@code registerRounds}: of the products that give the tensor-core roof
 * @param decodeRows of decode products
 * @param prefillRows of prefill products
 * @param batch sequences of decode attention and of the decode step
 * @param context their tokens
 * @param prompts side by side in prefill attention
 * @param promptTokens of each
 * @param policies of decode attention and of the cache kernels
 * @param turnBytes least bytes among which repeated products take turns, more than a card caches
 * @param workload end to end
 */
record BenchSizes(
    long copyBytes,
    int registerBlocks,
    int registerRounds,
    List<Product> products,
    List<Integer> decodeRows,
    List<Integer> prefillRows,
    int batch,
    int context,
    int prompts,
    int promptTokens,
    List<AttentionShape> heads,
    List<CachePolicy> policies,
    long turnBytes,
    Workload workload) {

  /**
   * A weight of {@code columns} rows of {@code depth} numbers.
   *
   * @param prefill whether prompts multiply by it row by row; by the head only their last rows do
   */
  record Product(String name, int depth, int columns, boolean prefill) {}

  /**
   * Generation end to end.
   *
   * @param models and the policies that each runs with, at equal batch and at their largest
   * @param promptTokens and {@code generatedTokens} of each sequence
   * @param mostSequences a limit for the largest batch
   */
  record Workload(
      List<Model> models,
      int promptTokens,
      int generatedTokens,
      int equalBatch,
      int mostSequences) {}

  /** The first policy is the baseline of the others. */
  record Model(ModelShape shape, List<CachePolicy> policies) {}

  static final ModelShape LLAMA2_7B =
      new ModelShape("Llama-2-7B", 4096, 11_008, 32, 32, 32, 128, 32_000);
  static final ModelShape LLAMA3_8B =
      new ModelShape("Llama-3-8B", 4096, 14_336, 32, 32, 8, 128, 128_256);

  /** KIVI's shorter window, of which its authors measured throughput too. */
  private static final CachePolicy SHORT_WINDOW = new CachePolicy.Kivi(2, 2, 32, 32, 0);

  /** The sizes of Llama-2-7B and Llama-3-8B, and KIVI's own workload (§4.2: 161 and 338 tokens). */
  static BenchSizes full() {
    return new BenchSizes(
        1L << 30,
        132 * 8,
        4096,
        List.of(
            new Product("output", 4096, 4096, true),
            new Product("qkv", 4096, 12_288, true),
            new Product("gate and up", 4096, 22_016, true),
            new Product("down", 11_008, 4096, true),
            new Product("head 32,000", 4096, 32_000, false),
            new Product("head 128,256", 4096, 128_256, false)),
        List.of(1, 16, 64),
        List.of(2048, 8192),
        64,
        4096,
        4,
        2048,
        List.of(heads(32, 32, 128), heads(32, 8, 128)),
        List.of(CachePolicy.FP16, CachePolicy.KIVI2, CachePolicy.KIVI4),
        256L << 20,
        new Workload(
            List.of(
                new Model(LLAMA2_7B, List.of(CachePolicy.FP16, CachePolicy.KIVI2, SHORT_WINDOW)),
                new Model(LLAMA3_8B, List.of(CachePolicy.FP16, CachePolicy.KIVI2))),
            161,
            338,
            64,
            4096));
  }

  /** Everything once, small enough for the emulated device. */
  static BenchSizes tiny() {
    return new BenchSizes(
        1 << 16,
        2,
        3,
        List.of(new Product("output", 64, 80, true), new Product("head 96", 128, 96, false)),
        List.of(1, 17),
        List.of(70),
        2,
        70,
        2,
        70,
        List.of(heads(4, 4, 32), heads(4, 1, 64)),
        List.of(CachePolicy.FP16, SHORT_WINDOW, new CachePolicy.Kivi(4, 4, 32, 32, 0)),
        1 << 16,
        new Workload(
            List.of(
                new Model(
                    new ModelShape("tiny", 64, 96, 2, 4, 2, 16, 80),
                    List.of(CachePolicy.FP16, SHORT_WINDOW))),
            37,
            6,
            2,
            3));
  }

  private static AttentionShape heads(int query, int keyValue, int headDim) {
    return new AttentionShape(query, keyValue, headDim, OptionalInt.empty(), false);
  }
}
