package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParamsBuilder;

/**
 * Launches the draw of next tokens on the device. The token is, to the bit, the one that {@link
 * dev.bulkgen.sampling.TokenSampler} draws from the same logits, the log-probability the one of
 * {@link dev.bulkgen.sampling.LogProbs}.
 */
public final class SamplingKernels {
  /** What a row may list of the likeliest tokens. */
  public static final int MOST_TOP_TOKENS = SamplingParamsBuilder.MAX_LOGPROBS;

  // SampleShared of sampling_row.cuh.
  private static final int SHARED_BYTES = 17344;
  private static final int MOST_VOCABULARY = 1 << 22;
  private static final int ALIGNMENT = 16;

  private final Kernel sampleKernel;
  private final KernelArguments sampleArguments;
  private final Kernel countKernel;
  private final KernelArguments countArguments;
  private final int stride;

  /**
   * What is drawn from, by address.
   *
   * @param logits [count][stride] float, row by row 16-byte aligned; held-back tokens become −∞
   * @param samplings [count] as {@link SamplingRows} writes them
   * @param heldBack ids as {@link SamplingRows} writes them
   * @param counts [slots][vocabulary] 16-bit numbers: what tokens a sequence has had, kept by this
   *     class for rows with penalties; 0 where no row has any
   */
  public record Rows(int count, long logits, long samplings, long heldBack, long counts) {}

  /**
   * Where the results go, by address: to the numbers that {@link SamplingRows} writes.
   *
   * @param tokens [results] int: the tokens, or the likeliest of rows that are scored
   * @param logprobs [results] float: the natural log-probabilities of the tokens, or of the
   *     targets, before penalties and temperature, NaN without token; of rows that ask for them
   * @param topTokens [results that list any][topStride] int, the likeliest before penalties, the
   *     likeliest first, equal ones by id; −1 beyond the vocabulary
   * @param topLogprobs [results that list any][topStride] float
   * @param topStride the most that any row lists, 0 to 100
   */
  public record Results(
      long tokens, long logprobs, long topTokens, long topLogprobs, int topStride) {}

  /**
   * How often tokens came in sequences, by address.
   *
   * @param slots [count] int: whose counts they go to
   * @param tokens [count] int
   * @param times [count] int: generated, 0 for one that only the prompt has
   */
  public record Seen(int count, long slots, long tokens, long times) {}

  /**
   * @param stride numbers from row to row of the logits, a multiple of 4
   * @throws BulkgenException INTERNAL for a vocabulary or stride that the kernels do not take
   */
  public SamplingKernels(KernelLibrary kernels, int vocabulary, int stride) {
    if (vocabulary < 1
        || vocabulary > MOST_VOCABULARY
        || stride < vocabulary
        || stride % (ALIGNMENT / Float.BYTES) != 0) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "logits of %d tokens in rows of %d: the sampler takes up to %d, in rows of a multiple of 4",
          vocabulary,
          stride,
          MOST_VOCABULARY);
    }
    this.stride = stride;
    sampleKernel = kernels.kernel("sample_tokens");
    sampleArguments = sampleKernel.arguments().set("vocabulary", vocabulary).set("stride", stride);
    countKernel = kernels.kernel("set_counts");
    countArguments = countKernel.arguments().set("vocabulary", vocabulary);
  }

  /** The least stride that logits of {@code vocabulary} tokens can have. */
  public static int stride(int vocabulary) {
    int numbers = ALIGNMENT / Float.BYTES;
    return (vocabulary + numbers - 1) / numbers * numbers;
  }

  /** Bytes of the counts of {@code slots} sequences. */
  public static long countsBytes(int slots, int vocabulary) {
    return (long) slots * vocabulary * Short.BYTES;
  }

  /**
   * Draws the next token of every row; the counts of rows with penalties are one token on then.
   *
   * @throws BulkgenException INTERNAL if the logits are not aligned or more than 100 top tokens are
   *     asked for
   */
  public void sample(CudaStream stream, Rows rows, Results results) {
    int most = results.topStride;
    if (rows.logits % ALIGNMENT != 0 || most < 0 || most > MOST_TOP_TOKENS) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "sampling from logits at %x in rows of %d, %d top tokens",
          rows.logits,
          stride,
          most);
    }
    sampleArguments
        .setAddress("logits", rows.logits)
        .setAddress("samplings", rows.samplings)
        .setAddress("heldBack", rows.heldBack)
        .setAddress("counts", rows.counts)
        .setAddress("drawn", results.tokens)
        .setAddress("logprobs", results.logprobs)
        .setAddress("topTokens", results.topTokens)
        .setAddress("topLogprobs", results.topLogprobs)
        .set("topStride", most);
    sampleKernel.launch(stream, Grid.of(rows.count), SHARED_BYTES, sampleArguments);
  }

  /** Sets single counts. */
  public void setCounts(CudaStream stream, Seen seen, long counts) {
    countArguments
        .setAddress("counts", counts)
        .setAddress("slots", seen.slots)
        .setAddress("tokens", seen.tokens)
        .setAddress("times", seen.times)
        .set("count", seen.count);
    int threads = countKernel.signature().threads();
    Grid grid = Grid.of((seen.count + threads - 1) / threads);
    countKernel.launch(stream, grid, 0, countArguments);
  }
}
