package dev.bulkgen.cache;

/** Lets a sequence hold pages of another. */
public final class SharedPages {
  private SharedPages() {}

  /** Appends the first {@code count} pages of every layer of {@code from}. */
  public static void share(PageTable from, PageTable to, int count) {
    for (int layer = 0; layer < from.layers(); layer++) {
      for (int i = 0; i < count; i++) {
        to.append(layer, from.page(layer, i));
      }
    }
  }
}
