package dev.bulkgen.backend.cuda;

import dev.bulkgen.model.ModelConfig;

/** The launchers of all kernel families, made for one model. */
record CudaKernels(
    EmbeddingKernels embedding,
    NormKernels norm,
    MatmulKernels matmul,
    Products promptProducts,
    RotaryKernels rotary,
    PrefillAttentionKernels prefillAttention,
    CacheKernels cache,
    DecodeAttentionKernels decodeAttention,
    SamplingKernels sampling,
    CopyKernels copy) {

  /**
   * @param foreign multiplies prompts, closed by the caller; null: our own kernels do
   */
  static CudaKernels of(
      CudaContext context, DeviceModel weights, CudaWorkspace workspace, PlainProducts foreign) {
    KernelLibrary library = context.kernels();
    CudaShape shape = workspace.shape();
    ModelConfig model = shape.model();
    MatmulKernels own = new MatmulKernels(context, workspace.products, workspace.arrivals);
    return new CudaKernels(
        new EmbeddingKernels(library, weights.embedding().numbers(), model.hiddenSize()),
        new NormKernels(library, model.norm(), model.hiddenSize(), model.normEpsilon()),
        own,
        foreign == null ? own : new FinishedProducts(library, foreign, workspace.promptSums),
        new RotaryKernels(library, model.attention(), model.normEpsilon(), weights.cosSin()),
        new PrefillAttentionKernels(library, model.attention(), shape.pieces()),
        new CacheKernels(library, shape.layout()),
        new DecodeAttentionKernels(library, model.attention(), shape.layout(), shape.pieces()),
        new SamplingKernels(library, model.vocabSize(), shape.logitStride()),
        new CopyKernels(library));
  }
}
