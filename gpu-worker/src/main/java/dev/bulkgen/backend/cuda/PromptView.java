package dev.bulkgen.backend.cuda;

/**
 * Where exact K and V of a step's prompts lie, by address: the struct PromptView of the catalogue.
 *
 * @param keys [rows][kvHeads][headDim] float16, of the step's own tokens
 * @param values likewise
 * @param firstRow [sequences] int: the row of position 0, negative where that is before the step
 * @param length [sequences] int: tokens after the step
 * @param earlier [sequences] int: tokens before the step
 * @param slots [sequences] int
 */
public record PromptView(
    long keys, long values, long firstRow, long length, long earlier, long slots, Kept kept) {

  /**
   * Where the tokens before the step lie: in pages of 32 tokens, K and V of a head together.
   *
   * @param pages [pages][kvHeads][K, then V] float16; 0 where no sequence has any
   * @param table [slots][layers][maxPages] int
   * @param inTiles whether K lies as in pages of the cache, not token by token
   */
  public record Kept(long pages, long table, int layers, int maxPages, boolean inTiles) {
    /** For sequences that begin with the step. */
    public static final Kept NONE = new Kept(0, 0, 1, 0, false);
  }

  /** Sets all fields of {@code arguments} below {@code prompts} to a layer. */
  void fill(KernelArguments arguments, int layer) {
    arguments
        .setAddress("prompts.keys", keys)
        .setAddress("prompts.values", values)
        .setAddress("prompts.firstRow", firstRow)
        .setAddress("prompts.length", length)
        .setAddress("prompts.earlier", earlier)
        .setAddress("prompts.slots", slots)
        .setAddress("prompts.keptPages", kept.pages)
        .setAddress("prompts.keptTable", kept.table)
        .set("prompts.keptLayer", layer)
        .set("prompts.keptLayers", kept.layers)
        .set("prompts.keptMaxPages", kept.maxPages)
        .set("prompts.keptInTiles", kept.inTiles ? 1 : 0);
  }
}
