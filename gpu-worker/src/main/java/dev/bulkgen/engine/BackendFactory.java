package dev.bulkgen.engine;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.backend.cuda.CublasProducts;
import dev.bulkgen.backend.cuda.CudaBackend;
import dev.bulkgen.backend.cuda.CudaContext;
import dev.bulkgen.backend.cuda.CudaDriver;
import dev.bulkgen.backend.cuda.CudaNeeds;
import dev.bulkgen.backend.cuda.Precision;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.MemoryDemand;
import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelDescription;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.TokenSampler;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;

/** The one place that knows which backends there are and chooses among them. */
final class BackendFactory {
  private static final Logger LOG = LogManager.getLogger(BackendFactory.class);

  /** The part of the host's free memory that is taken for swapping if nothing is said. */
  private static final int SWAP_SHARE = 4;

  /** Pinning memory takes a second for a few GiB; more is for whoever asks for it. */
  private static final long MOST_DEFAULT_SWAP = 8L << 30;

  private final EngineConfig config;
  private final BackendChoice kind;

  /** What {@code config} asks for; AUTO becomes what this machine has. */
  BackendFactory(EngineConfig config) {
    this.config = config;
    kind = resolve(config.backend());
  }

  private static BackendChoice resolve(BackendChoice choice) {
    if (choice != BackendChoice.AUTO) {
      return choice;
    }
    if (CudaDriver.probe().isPresent() || CudaDriver.isEmulated()) {
      return BackendChoice.CPU;
    }
    if (!CudaBackend.hasKernels()) {
      LOG.warn(
          "computing on the CPU: a CUDA device is here, but this build has no kernels for it; build"
              + " where nvcc is");
      return BackendChoice.CPU;
    }
    return BackendChoice.CUDA;
  }

  /**
   * @throws BulkgenException DEVICE_UNAVAILABLE with the reason if this machine has no such backend
   */
  void requireAvailable() {
    if (kind == BackendChoice.CUDA) {
      CudaDriver.require();
      if (config.gemm() == GemmChoice.CUBLAS) {
        CublasProducts.require();
      }
    }
  }

  /**
   * Takes what {@code plan} grants, and no more than its budget.
   *
   * @throws BulkgenException DEVICE_UNAVAILABLE, DEVICE_OUT_OF_MEMORY or MEMORY_PLAN_REFUSED
   */
  Backend open(ModelWeights weights, MemoryPlan plan) {
    CacheCapacity capacity = capacity(plan);
    if (kind == BackendChoice.CPU) {
      return CpuBackend.open(weights, plan.layout(), capacity, config.threads());
    }
    requireRoom(CudaNeeds.of(weights, plan.layout(), capacity, precision(), config.gemm()), plan);
    long budget = plan.demand().budget();
    return CudaBackend.open(
        CudaContext.open(config.device(), memory -> memory.limited(budget)),
        weights,
        plan.layout(),
        capacity,
        precision(),
        config.gemm());
  }

  private static CacheCapacity capacity(MemoryPlan plan) {
    return new CacheCapacity(
        plan.pages(),
        plan.slots(),
        plan.demand().prefillTokens(),
        plan.demand().maxModelLen(),
        plan.stagingPages(),
        plan.swapPages(),
        plan.swapSlots());
  }

  /** The plan was made of what config.json declares; the files may hold another type. */
  private static void requireRoom(CudaNeeds needs, MemoryPlan plan) {
    long budget = plan.demand().budget();
    long needed = needs.bytes() + plan.cacheBytes();
    if (needed > budget) {
      throw BulkgenException.of(
          ErrorCode.MEMORY_PLAN_REFUSED,
          "the files hold other weights than config.json declares: on the device they take %s"
              + " instead of %s, with workspace and cache %s of a budget of %s: let torch_dtype in"
              + " config.json say what the files hold, or raise memory to %s (%d bytes)",
          ByteSize.format(needs.weightBytes()),
          ByteSize.format(plan.demand().weights()),
          ByteSize.format(needed),
          ByteSize.format(budget),
          ByteSize.format(needed),
          needed);
    }
  }

  WeightPlacement placement() {
    return kind == BackendChoice.CUDA ? WeightPlacement.RESIDENT : WeightPlacement.MAPPED;
  }

  /**
   * The memory of which a budget is a share by default.
   *
   * @throws BulkgenException DEVICE_UNAVAILABLE where there is no device to ask
   */
  long freeBytes(ModelDescription description) {
    if (kind == BackendChoice.CUDA) {
      if (CudaDriver.probe().isPresent()) {
        throw BulkgenException.of(
            ErrorCode.DEVICE_UNAVAILABLE,
            "%s; to plan for a device that is elsewhere, give its memory with --memory",
            CudaDriver.probe().get().reason());
      }
      return CudaContext.freeBytes(config.device());
    }
    // Mapped weights are read from the system's file cache, so they need free memory too.
    long free = HostMemory.freeBytes() - description.weightBytes();
    return Math.min(free, HostMemory.directLimit());
  }

  /** Host memory for sequences that make room for others, where the cache is not in it anyway. */
  long defaultSwap() {
    return kind == BackendChoice.CUDA
        ? Math.min(MOST_DEFAULT_SWAP, HostMemory.freeBytes() / SWAP_SHARE)
        : 0;
  }

  /** What is gone before the first page. */
  MemoryDemand demand(
      ModelDescription description,
      CacheLayout layout,
      CacheCapacity capacity,
      long budget,
      long swap) {
    ModelConfig model = description.config();
    long weights = description.weightBytes();
    long workspace;
    long logits;
    if (kind == BackendChoice.CUDA) {
      CudaNeeds needs = CudaNeeds.of(description, layout, capacity, precision(), config.gemm());
      weights = needs.weightBytes();
      workspace = needs.workspaceBytes();
      logits = needs.logitBytes();
    } else {
      workspace = CpuBackend.workspaceBytes(model, layout, capacity, config.threads());
      logits = config.threads() * TokenSampler.scratchBytes(model.vocabSize());
    }
    return new MemoryDemand(
        budget,
        weights,
        placement(),
        workspace,
        logits,
        0,
        capacity.slots(),
        capacity.contextTokens(),
        capacity.prefillTokens(),
        swap,
        config.scheduling().prefixSharing());
  }

  private Precision precision() {
    return config.dtype() == DtypeChoice.FLOAT32 ? Precision.TWO_PIECES : Precision.ONE_PIECE;
  }
}
