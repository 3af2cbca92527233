package dev.bulkgen.backend.cuda;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.model.RopeFrequencies;
import java.nio.FloatBuffer;

/**
 * Launches what stands between the projection of rows and their attention: norms of query and key
 * heads, the rotary embedding, rounding of K and V, and of decoding rows their place in the cache.
 */
public final class RotaryKernels {
  private static final int HEADS_A_BLOCK = 4;
  private static final int MOST_HEAD_DIM = 256;
  private static final CudaCacheView NO_CACHE =
      new CudaCacheView(new CacheLayout(CachePolicy.FP16, 1, 1, 2), 0, 0, 0, 0);

  private final AttentionShape attention;
  private final Kernel promptKernel;
  private final Kernel decodeKernel;
  private final KernelArguments promptArguments;
  private final KernelArguments decodeArguments;

  /**
   * Rows of a step, by address.
   *
   * @param qkv [count][qkvStride] float: queries, keys and values of a row side by side
   * @param positions [count] int; −1: no row, nothing is read or written
   * @param query [count][queryHeads][headDim] float: what the rows' queries become, times log2(e) /
   *     √headDim, so that attention takes powers of 2
   */
  public record Rows(int count, long qkv, int qkvStride, long positions, long query) {}

  /**
   * Weights [headDim] float of the norms of query and key heads, by address.
   *
   * @param query 0 without norms
   * @param key likewise
   */
  public record HeadNorms(long query, long key) {
    public static final HeadNorms NONE = new HeadNorms(0, 0);
  }

  /**
   * @param epsilon of the head norms
   * @param cosSin address of what {@link #fillCosSin} made, [positions][headDim] float
   * @throws BulkgenException INTERNAL if the kernels do not take the heads
   */
  public RotaryKernels(
      KernelLibrary kernels, AttentionShape attention, float epsilon, long cosSin) {
    this.attention = attention;
    int headDim = attention.headDim();
    if (headDim % 2 != 0 || headDim > MOST_HEAD_DIM) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "heads of %d: the rotary kernels take even sizes up to %d",
          headDim,
          MOST_HEAD_DIM);
    }
    promptKernel = kernels.kernel("rotate_prompt");
    decodeKernel = kernels.kernel("rotate_decode");
    promptArguments = arguments(promptKernel, epsilon, cosSin);
    decodeArguments = arguments(decodeKernel, epsilon, cosSin);
    decodeArguments.setAddress("keys", 0).setAddress("values", 0);
    NO_CACHE.fill(promptArguments, 0);
    promptArguments.setAddress("slots", 0);
  }

  private KernelArguments arguments(Kernel kernel, float epsilon, long cosSin) {
    return kernel
        .arguments()
        .setAddress("cosSin", cosSin)
        .set("queryHeads", attention.queryHeads())
        .set("kvHeads", attention.kvHeads())
        .set("headDim", attention.headDim())
        .set("queryScale", (float) (1 / (Math.log(2) * Math.sqrt(attention.headDim()))))
        .set("epsilon", epsilon);
  }

  /** Numbers of the table of {@code positions} positions. */
  public static long cosSinCount(int headDim, int positions) {
    return (long) headDim * positions;
  }

  /**
   * Appends to {@code table}, for each position from {@code first} on, the cosines of its pairs
   * [headDim / 2] and then their sines.
   */
  public static void fillCosSin(
      RopeFrequencies frequencies, int headDim, int first, int count, FloatBuffer table) {
    float[] row = new float[headDim];
    float[] sines = new float[headDim / 2];
    for (int position = first; position < first + count; position++) {
      frequencies.cosSin(position, row, sines, 0);
      System.arraycopy(sines, 0, row, headDim / 2, headDim / 2);
      table.put(row);
    }
  }

  /**
   * Rows of prompts.
   *
   * @param keys address of [count][kvHeads][headDim] float16, the rows' own
   * @param values likewise
   */
  public void prompt(CudaStream stream, Rows rows, HeadNorms norms, long keys, long values) {
    set(promptArguments, rows, norms);
    promptArguments.setAddress("keys", keys).setAddress("values", values);
    promptKernel.launch(stream, grid(rows), 0, promptArguments);
  }

  /**
   * One token of each of some sequences; their K and V go into {@code layer} of the cache, in whose
   * page tables the pages for them are.
   *
   * @param slots address of [count] int
   */
  public void decode(
      CudaStream stream, Rows rows, HeadNorms norms, CudaCacheView cache, int layer, long slots) {
    set(decodeArguments, rows, norms);
    cache.fill(decodeArguments, layer);
    decodeArguments.setAddress("slots", slots);
    decodeKernel.launch(stream, grid(rows), 0, decodeArguments);
  }

  private static void set(KernelArguments arguments, Rows rows, HeadNorms norms) {
    arguments
        .setAddress("qkv", rows.qkv)
        .set("qkvStride", rows.qkvStride)
        .setAddress("positions", rows.positions)
        .setAddress("query", rows.query)
        .setAddress("queryNorm", norms.query)
        .setAddress("keyNorm", norms.key);
  }

  private Grid grid(Rows rows) {
    int heads = attention.queryHeads() + 2 * attention.kvHeads();
    return Grid.of(rows.count, (heads + HEADS_A_BLOCK - 1) / HEADS_A_BLOCK);
  }
}
