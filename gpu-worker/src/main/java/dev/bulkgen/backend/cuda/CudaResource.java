package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/** Something of a context that has to be closed before it. */
abstract class CudaResource implements AutoCloseable {
  private final CudaContext context;
  private final String what;
  private boolean closed;

  CudaResource(CudaContext context, String what) {
    this.context = context;
    this.what = what;
  }

  CudaContext context() {
    return context;
  }

  /** What it is for, in messages. */
  public final String what() {
    return what;
  }

  /** To be called once the driver has made it. */
  final void opened() {
    context.opened(this);
  }

  /** Refuses use after close and from a thread that does not own the context. */
  final void check() {
    context.check();
    if (closed) {
      throw BulkgenException.of(ErrorCode.INTERNAL, "%s is used after close", this);
    }
  }

  /** Gives it back to the driver. */
  abstract void release();

  /** Again does nothing. */
  @Override
  public final void close() {
    if (!closed) {
      context.check();
      closed = true;
      context.closed(this);
      release();
    }
  }

  @Override
  public final String toString() {
    return getClass().getSimpleName() + " " + what;
  }
}
