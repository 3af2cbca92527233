package dev.bulkgen.backend.cuda;

/** Runs every step of a close, whatever earlier ones threw. */
final class Cleanup {
  private RuntimeException first;

  void run(Runnable step) {
    try {
      step.run();
    } catch (RuntimeException e) {
      if (first == null) {
        first = e;
      } else {
        first.addSuppressed(e);
      }
    }
  }

  /** Throws the first failure, which holds the others. */
  void finish() {
    if (first != null) {
      throw first;
    }
  }

  /** Adds the failures to the one that made the cleanup necessary. */
  void addTo(Throwable cause) {
    if (first != null) {
      cause.addSuppressed(first);
    }
  }
}
