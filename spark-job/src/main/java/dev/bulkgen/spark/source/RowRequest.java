package dev.bulkgen.spark.source;

import dev.bulkgen.engine.Prompt;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;

/**
 * What a row asks.
 *
 * @param sampling settings of its own; unset where it has none
 */
public record RowRequest(Prompt prompt, SamplingParamsBuilder sampling) {

  /**
   * @param job what holds where the row says nothing
   * @throws BulkgenException REQUEST_INVALID, of kind DATA
   */
  public SamplingParams params(SamplingParams job) {
    return RowSampling.over(job, sampling);
  }
}
