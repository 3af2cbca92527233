package dev.bulkgen.spark.arrow;

/** The two forms of Arrow IPC. */
public enum ArrowLayout {
  /** With a footer, for random access. */
  FILE(".arrow"),
  /** Batches one after the other, for pipes and stores that only append. */
  STREAM(".arrows");

  private final String extension;

  ArrowLayout(String extension) {
    this.extension = extension;
  }

  public String extension() {
    return extension;
  }
}
