package dev.bulkgen.config;

import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * What an engine is started with.
 *
 * @param kvCache as on the command line: auto, fp16, kivi2, kivi4, kivi:…
 * @param memoryBytes the cache's and workspaces' budget; empty: {@code memoryFraction} of what the
 *     device has free
 * @param maxBatch most sequences in flight
 * @param maxModelLen longest sequence (prompt and output); empty: the model's own
 * @param threads of the CPU backend
 * @param device number of the GPU, as the driver counts
 * @param scheduling how the batch is filled
 */
public record EngineConfig(
    Path model,
    String kvCache,
    BackendChoice backend,
    DtypeChoice dtype,
    GemmChoice gemm,
    OptionalLong memoryBytes,
    double memoryFraction,
    int maxBatch,
    OptionalInt maxModelLen,
    PromptOverflow promptOverflow,
    int threads,
    int device,
    SchedulingConfig scheduling) {}
