package dev.bulkgen.backend.cuda;

import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.JCudaDriver;

/** Recorded work that runs again with one launch. */
public final class CudaGraph extends CudaResource {
  private final CUgraphExec handle = new CUgraphExec();

  /** Takes {@code graph} over, also where this fails. */
  CudaGraph(CudaContext context, CUgraph graph, String what) {
    super(context, what);
    int code = JCudaDriver.cuGraphInstantiate(handle, graph, 0);
    int destroyed = JCudaDriver.cuGraphDestroy(graph);
    CudaErrors.check(code, "cuGraphInstantiate", what);
    opened();
    CudaErrors.check(destroyed, "cuGraphDestroy", what);
  }

  /** Runs it once, after the work given to {@code stream} so far. */
  public void launch(CudaStream stream) {
    check();
    stream.check();
    CudaErrors.check(JCudaDriver.cuGraphLaunch(handle, stream.handle), "cuGraphLaunch", what());
  }

  @Override
  void release() {
    CudaErrors.checkRelease(JCudaDriver.cuGraphExecDestroy(handle), "cuGraphExecDestroy", what());
  }
}
