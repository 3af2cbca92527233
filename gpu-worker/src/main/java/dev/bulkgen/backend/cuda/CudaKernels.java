package dev.bulkgen.backend.cuda;

import dev.bulkgen.model.ModelConfig;

/** The launchers of all kernel families, made for one model. */
record CudaKernels(
    EmbeddingKernels embedding,
    NormKernels norm,
    MatmulKernels matmul,
    RotaryKernels rotary,
    PrefillAttentionKernels prefillAttention,
    CacheKernels cache,
    DecodeAttentionKernels decodeAttention,
    SamplingKernels sampling,
    CopyKernels copy) {

  static CudaKernels of(CudaContext context, DeviceModel weights, CudaWorkspace workspace) {
    KernelLibrary library = context.kernels();
    CudaShape shape = workspace.shape();
    ModelConfig model = shape.model();
    return new CudaKernels(
        new EmbeddingKernels(library, weights.embedding().numbers(), model.hiddenSize()),
        new NormKernels(library, model.norm(), model.hiddenSize(), model.normEpsilon()),
        new MatmulKernels(context, workspace.products, workspace.arrivals),
        new RotaryKernels(library, model.attention(), model.normEpsilon(), weights.cosSin()),
        new PrefillAttentionKernels(library, model.attention(), shape.pieces()),
        new CacheKernels(library, shape.layout()),
        new DecodeAttentionKernels(library, model.attention(), shape.layout(), shape.pieces()),
        new SamplingKernels(library, model.vocabSize(), shape.logitStride()),
        new CopyKernels(library));
  }
}
