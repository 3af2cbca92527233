package dev.bulkgen.backend.cuda;

import java.util.Arrays;

/** A {@link RotaryCase} on the device. */
final class RotaryRun implements AutoCloseable {
  static final float OLD_QUERY = 12345;

  final DeviceArrays arrays;
  final CudaStream stream;
  final RotaryKernels kernels;
  final DeviceMemory query;

  private final RotaryCase rotary;
  private final DeviceMemory qkv;
  private final DeviceMemory cosSin;
  private final DeviceMemory positions;
  private final DeviceMemory queryNorm;
  private final DeviceMemory keyNorm;

  RotaryRun(CudaContext context, RotaryCase rotary) {
    this.rotary = rotary;
    arrays = new DeviceArrays(context);
    stream = context.newStream("rotary");
    qkv = arrays.upload("qkv", rotary.qkv);
    cosSin = arrays.upload("cosines and sines", rotary.cosSin);
    positions = arrays.upload("positions", rotary.positions);
    queryNorm = rotary.queryNorm == null ? null : arrays.upload("query norm", rotary.queryNorm);
    keyNorm = rotary.keyNorm == null ? null : arrays.upload("key norm", rotary.keyNorm);
    float[] old = new float[rotary.rows() * rotary.shape.queryWidth()];
    Arrays.fill(old, OLD_QUERY);
    query = arrays.upload("queries", old);
    kernels =
        new RotaryKernels(context.kernels(), rotary.shape, RotaryCase.EPSILON, cosSin.address());
  }

  RotaryKernels.Rows rows() {
    return new RotaryKernels.Rows(
        rotary.rows(), qkv.address(), rotary.qkvStride, positions.address(), query.address());
  }

  RotaryKernels.HeadNorms norms() {
    return queryNorm == null
        ? RotaryKernels.HeadNorms.NONE
        : new RotaryKernels.HeadNorms(queryNorm.address(), keyNorm.address());
  }

  @Override
  public void close() {
    stream.close();
    for (DeviceMemory memory :
        new DeviceMemory[] {qkv, cosSin, positions, queryNorm, keyNorm, query}) {
      if (memory != null) {
        memory.close();
      }
    }
  }
}
