package dev.bulkgen.backend;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PageTable;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelConfig;
import java.util.Locale;

/**
 * Refuses steps outside of what was planned, before a backend touches memory for them.
 *
 * @param backend its name, for messages
 */
public record StepCheck(
    String backend, ModelConfig model, CacheLayout layout, CacheCapacity capacity) {

  /**
   * @throws BulkgenException INTERNAL naming what does not fit
   */
  public void check(StepBatch batch) {
    int promptTokens = 0;
    for (SequenceStep sequence : batch.sequences()) {
      int count = sequence.tokens().length;
      promptTokens += sequence.isPrefill() ? count : 0;
      require(count >= 1 || !sequence.isPrefill(), "a prompt without tokens");
      require(sequence.isPrefill() || count <= 1, "%d tokens to decode at once", count);
      int slot = sequence.cache().slot();
      require(slot < capacity.slots(), "window slot %d", slot);
      int length = sequence.lengthAfter();
      require(length <= capacity.contextTokens(), "a sequence of %d tokens", length);
      checkStart(sequence);
      checkTargets(sequence);
      checkPages(sequence);
      for (int token : sequence.tokens()) {
        require(token >= 0 && token < model.vocabSize(), "token %d", token);
      }
    }
    int sequences = batch.sequences().size();
    require(sequences <= capacity.slots(), "%d sequences", sequences);
    require(promptTokens <= capacity.prefillTokens(), "%d prompt tokens", promptTokens);
  }

  /**
   * @throws BulkgenException INTERNAL if {@code to} has fewer pages than {@code from} in a layer
   */
  public void checkCopy(SequenceCache from, SequenceCache to) {
    for (int layer = 0; layer < model.layerCount(); layer++) {
      int held = to.pages().count(layer);
      require(held >= from.pages().count(layer), "%d pages to copy to, layer %d", held, layer);
    }
  }

  /**
   * @param to has pages and a slot of the swap area
   * @throws BulkgenException INTERNAL if it has fewer pages in a layer, or if staging pages, which
   *     stay behind, are still needed
   */
  public void checkSwapOut(SequenceCache from, SequenceCache to) {
    checkSlots(from, to);
    checkCopy(from, to);
    for (int layer = 0; layer < model.layerCount(); layer++) {
      require(from.staging().count(layer) == 0, "swapping with staging pages, layer %d", layer);
    }
  }

  /**
   * @param from has pages and a slot of the swap area
   * @throws BulkgenException INTERNAL if {@code to} has fewer pages in a layer
   */
  public void checkSwapIn(SequenceCache from, SequenceCache to) {
    checkSlots(to, from);
    checkCopy(from, to);
  }

  private void checkSlots(SequenceCache cache, SequenceCache swapped) {
    require(cache.slot() < capacity.slots(), "window slot %d", cache.slot());
    require(swapped.slot() < capacity.swapSlots(), "swap slot %d", swapped.slot());
  }

  /**
   * A part begins where a staging page does, and shared pages are complete: so no page of a prefix
   * is written by those who share it.
   */
  private void checkStart(SequenceStep sequence) {
    if (!sequence.isPrefill()) {
      return;
    }
    int cached = sequence.cache().length();
    int aligned = layout.staging().pageTokens();
    require(cached % aligned == 0, "a part of a prompt that begins at token %d", cached);
    int shared = sequence.cache().sharedPages();
    boolean filled = layout.tokensBefore(shared) <= cached;
    boolean isEnd = sequence.kind() == SequenceStep.Kind.PROMPT_END;
    boolean complete = !isEnd || shared <= layout.completePages(sequence.lengthAfter());
    require(filled && complete, "%d shared pages, %d shared tokens", shared, cached);
  }

  private void checkTargets(SequenceStep sequence) {
    int count = sequence.targets().length;
    boolean isScored = sequence.sampler() == null;
    require(!isScored || sequence.isPrefill(), "a sequence to decode without a sampler");
    require(isScored || count == 0, "%d targets of a sequence that draws", count);
    require(count <= sequence.tokens().length, "%d targets", count);
    require(!isScored || sequence.logits() == LogitsRequest.NONE, "logits of a scored sequence");
    for (int target : sequence.targets()) {
      require(target >= 0 && target < model.vocabSize(), "target %d", target);
    }
  }

  private void checkPages(SequenceStep sequence) {
    SequenceCache cache = sequence.cache();
    if (sequence.kind() == SequenceStep.Kind.PROMPT_PART && !layout.isExact()) {
      int pages = layout.staging().pagesPerLayer(sequence.lengthAfter());
      checkPages("staging pages", cache.staging(), pages);
      return;
    }
    checkPages("pages", cache.pages(), layout.pagesPerLayer(sequence.lengthAfter()));
    if (sequence.isPrefill() && !layout.isExact()) {
      int before = layout.staging().pagesPerLayer(cache.length());
      checkPages("staging pages", cache.staging(), before);
    }
  }

  private void checkPages(String what, PageTable table, int pages) {
    for (int layer = 0; layer < model.layerCount(); layer++) {
      int held = table.count(layer);
      require(held >= pages, "%d %s of %d in layer %d", held, what, pages, layer);
    }
  }

  private void require(boolean condition, String format, Object... arguments) {
    if (!condition) {
      String what = String.format(Locale.ROOT, format, arguments);
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "%s step: %s is outside of what was planned: %s, vocabulary %d, %d layers",
          backend,
          what,
          capacity,
          model.vocabSize(),
          model.layerCount());
    }
  }

  /** A step to decode that has no token where the step before has drawn none. */
  public static BulkgenException noToken(int slot) {
    return BulkgenException.of(
        ErrorCode.INTERNAL,
        "a step to decode in slot %d has no token, and the step before has drawn none there",
        slot);
  }

  /** A row of the residual stream that is no longer finite. */
  public static BulkgenException notFinite(int position) {
    return BulkgenException.of(
        ErrorCode.NUMERIC_FAILURE,
        "the model's numbers are not finite at position %d of this row: check the"
            + " weights, or leave the row out",
        position);
  }
}
