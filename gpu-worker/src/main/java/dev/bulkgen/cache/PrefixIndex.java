package dev.bulkgen.cache;

import dev.bulkgen.cache.PrefixBlock.Key;
import dev.bulkgen.cache.PrefixBlock.State;
import java.util.LinkedHashSet;
import java.util.Set;

/**
 * Which beginnings of prompts are cached: blocks of tokens as a trie, as in SGLang's radix tree
 * (Zheng et al., "SGLang", §3), with vLLM's fixed blocks. What is kept of a block is its exact K
 * and V, which others need to prefill the rest of their prompts, and its complete pages, which they
 * hold instead of own ones. A block is prefilled once, by the first of the sequences that want it,
 * and kept for later ones until its pages are needed.
 *
 * <p>A block is the least number of tokens that is whole pages and whole staging pages. A complete
 * page belongs to the block in which it ends: with a sink, pages begin later than blocks.
 */
public final class PrefixIndex {
  private final CacheLayout layout;
  private final PagePool pool;
  private final PagePool stagingPool;
  private final int blockTokens;
  private final int stagingPages; // of a block and layer
  private final PrefixBlock root = new PrefixBlock(null, null);
  private final Set<PrefixBlock> ready = new LinkedHashSet<>(); // the longest unused first
  private int pinnedPages;

  /** A prompt's way through the index. */
  public static final class Path {
    private final PrefixBlock[] blocks;
    private boolean isWanting = true;
    private int pendingFrom; // blocks [pendingFrom, pendingTo) are this sequence's to prefill
    private int pendingTo;
    private int read; // blocks [0, read) have pages that this sequence reads

    private Path(int blocks) {
      this.blocks = new PrefixBlock[blocks];
    }
  }

  /**
   * @param stagingPool pages of {@link CacheLayout#staging()}; unused by an exact policy
   */
  public PrefixIndex(CacheLayout layout, PagePool pool, PagePool stagingPool) {
    this.layout = layout;
    this.pool = pool;
    this.stagingPool = stagingPool;
    blockTokens = layout.promptAlignment();
    stagingPages = blockTokens / layout.staging().pageTokens();
  }

  /** The way of a prompt that shares nothing. */
  public static Path unshared() {
    return new Path(0);
  }

  /**
   * Notes that a sequence with this prompt waits, until {@link #leave}.
   *
   * @param firstNeeded the first token whose logits it needs: it shares tokens before that alone,
   *     since what is shared is never fed
   */
  public Path enter(int[] prompt, int firstNeeded) {
    Path path = new Path(firstNeeded / blockTokens);
    PrefixBlock block = root;
    for (int i = 0; i < path.blocks.length; i++) {
      PrefixBlock parent = block;
      Key key = new Key(prompt, i * blockTokens, (i + 1) * blockTokens);
      block = parent.children.computeIfAbsent(key, tokens -> new PrefixBlock(parent, tokens));
      block.wanted++;
      path.blocks[i] = block;
    }
    return path;
  }

  /** Tokens of the prompt whose exact K and V are there. */
  public int readyTokens(Path path) {
    return readyBlocks(path) * blockTokens;
  }

  private static int readyBlocks(Path path) {
    int count = 0;
    while (count < path.blocks.length && path.blocks[count].state == State.READY) {
      count++;
    }
    return count;
  }

  /** Whether more of the prompt's beginning is being prefilled by another sequence. */
  public boolean isPending(Path path) {
    int next = readyBlocks(path);
    return next < path.blocks.length && path.blocks[next].state == State.PENDING;
  }

  /** Tokens of the prompt's beginning, those that are ready included, that others want too. */
  public int sharedTokens(Path path) {
    int count = readyBlocks(path);
    while (count < path.blocks.length && path.blocks[count].wanted > 1) {
      count++;
    }
    return count * blockTokens;
  }

  /** Complete pages of a layer that {@link #begin} would give a sequence. */
  public int sharedPages(Path path, int promptLength) {
    int count = 0;
    for (int i = 0; i < readyBlocks(path) && path.blocks[i].pages != null; i++) {
      count = pagesThrough(i + 1);
    }
    return Math.min(count, layout.completePages(promptLength));
  }

  /**
   * Pages of all layers that nobody's own count holds once {@code path} reads, beside those now.
   */
  public int pagesToPin(Path path, int promptLength) {
    int shared = sharedPages(path, promptLength);
    int pages = 0;
    for (int i = 0; i < path.blocks.length && pagesThrough(i) < shared; i++) {
      if (path.blocks[i].readers == 0) {
        pages += (pagesThrough(i + 1) - pagesThrough(i)) * layout.layers();
      }
    }
    return pages;
  }

  /** Pages of all layers that sequences in flight read without having filled them. */
  public int pinnedPages() {
    return pinnedPages;
  }

  /**
   * Gives a sequence that begins what is ready of its prompt, and makes the blocks up to {@code
   * sharedTokens} its own to prefill for all: their staging pages, for which there is room, are
   * taken.
   */
  public void begin(Path path, SequenceCache cache, int promptLength, int sharedTokens) {
    int ready = readyBlocks(path);
    int shared = sharedPages(path, promptLength);
    for (int i = 0; i < ready; i++) {
      PrefixBlock block = path.blocks[i];
      adoptStaging(block, cache);
      if (pagesThrough(i) < shared) {
        adoptPages(block, cache, shared - pagesThrough(i));
        path.read = i + 1;
        pin(block);
      }
    }
    cache.beginShared(ready * blockTokens, shared);
    touch(path, ready);
    path.pendingFrom = ready;
    path.pendingTo = Math.max(ready, sharedTokens / blockTokens);
    for (int i = path.pendingFrom; i < path.pendingTo; i++) {
      path.blocks[i].state = State.PENDING;
      takeStaging(path.blocks[i], cache);
    }
  }

  private void adoptStaging(PrefixBlock block, SequenceCache cache) {
    if (block.staging != null) {
      for (int layer = 0; layer < layout.layers(); layer++) {
        for (int page : block.staging[layer]) {
          stagingPool.adopt(cache.staging(), layer, page);
        }
      }
    }
  }

  private void takeStaging(PrefixBlock block, SequenceCache cache) {
    if (!layout.isExact()) {
      int first = block.depth * stagingPages;
      stagingPool.grow(cache.staging(), first + stagingPages);
      block.staging = retain(stagingPool, cache.staging(), first, stagingPages);
    }
  }

  private void adoptPages(PrefixBlock block, SequenceCache cache, int most) {
    for (int layer = 0; layer < layout.layers(); layer++) {
      for (int i = 0; i < Math.min(most, block.pages[layer].length); i++) {
        pool.adopt(cache.pages(), layer, block.pages[layer][i]);
      }
    }
  }

  private int[][] retain(PagePool owner, PageTable table, int first, int count) {
    int[][] pages = new int[layout.layers()][count];
    for (int layer = 0; layer < layout.layers(); layer++) {
      for (int i = 0; i < count; i++) {
        pages[layer][i] = table.page(layer, first + i);
        owner.retain(pages[layer][i]);
      }
    }
    return pages;
  }

  /** The step that fed the prompt up to {@code tokens} is done: others can build on that. */
  public void fed(Path path, SequenceCache cache, int tokens) {
    while (path.pendingFrom < path.pendingTo && (path.pendingFrom + 1) * blockTokens <= tokens) {
      PrefixBlock block = path.blocks[path.pendingFrom++];
      block.state = State.READY;
      if (layout.isExact()) {
        block.pages = retainPages(block, cache);
      }
      ready.add(block);
    }
    touch(path, path.pendingFrom);
  }

  /** The prompt is prefilled: its pages are complete, and nothing of it is staged any more. */
  public void promptEnded(Path path, SequenceCache cache, int promptLength) {
    int complete = layout.completePages(promptLength);
    for (int i = 0; i < path.blocks.length; i++) {
      PrefixBlock block = path.blocks[i];
      boolean fills = block.state == State.READY && block.pages == null;
      if (fills && pagesThrough(i + 1) <= complete) {
        block.pages = retainPages(block, cache);
      }
    }
    stagingPool.release(cache.staging());
    stopWanting(path);
  }

  private int[][] retainPages(PrefixBlock block, SequenceCache cache) {
    int first = pagesThrough(block.depth);
    return retain(pool, cache.pages(), first, pagesThrough(block.depth + 1) - first);
  }

  /** The sequence needs its shared pages no longer; its own ownership of them is its business. */
  public void stopReading(Path path) {
    for (int i = 0; i < path.read; i++) {
      PrefixBlock block = path.blocks[i];
      if (--block.readers == 0) {
        pinnedPages -= pageCount(block);
      }
    }
    path.read = 0;
  }

  private void pin(PrefixBlock block) {
    if (block.readers++ == 0) {
      pinnedPages += pageCount(block);
    }
  }

  private int pageCount(PrefixBlock block) {
    return layout.layers() * block.pages[0].length;
  }

  /** A sequence is gone, wherever it was: what it had begun to prefill is nobody's again. */
  public void leave(Path path) {
    for (int i = path.pendingFrom; i < path.pendingTo; i++) {
      drop(path.blocks[i]);
    }
    path.pendingTo = path.pendingFrom;
    stopReading(path);
    stopWanting(path);
  }

  private void stopWanting(Path path) {
    if (path.isWanting) {
      path.isWanting = false;
      for (int i = path.blocks.length - 1; i >= 0; i--) {
        path.blocks[i].wanted--;
        prune(path.blocks[i]);
      }
    }
  }

  /**
   * Gives up the block that was unused for longest, of those that nobody waits for if there is one.
   *
   * @param wantedToo whether one that somebody waits for may go
   * @return false if there is none to give up
   */
  public boolean evict(boolean wantedToo) {
    PrefixBlock oldestWanted = null;
    for (PrefixBlock block : ready) {
      if (block.wanted > 0 && (oldestWanted != null || !wantedToo)) {
        continue;
      }
      if (block.readers == 0 && isLast(block)) {
        if (block.wanted == 0) {
          giveUp(block);
          return true;
        }
        oldestWanted = block;
      }
    }
    if (oldestWanted == null) {
      return false;
    }
    giveUp(oldestWanted);
    return true;
  }

  private static boolean isLast(PrefixBlock block) {
    return block.children.values().stream().allMatch(child -> child.state == State.ABSENT);
  }

  private void giveUp(PrefixBlock block) {
    ready.remove(block);
    drop(block);
    prune(block);
  }

  private void drop(PrefixBlock block) {
    block.state = State.ABSENT;
    block.staging = release(stagingPool, block.staging);
    block.pages = release(pool, block.pages);
  }

  private static int[][] release(PagePool owner, int[][] pages) {
    if (pages != null) {
      for (int[] layer : pages) {
        for (int page : layer) {
          owner.release(page);
        }
      }
    }
    return null;
  }

  private void prune(PrefixBlock block) {
    if (block.wanted == 0 && block.state == State.ABSENT && block.children.isEmpty()) {
      block.parent.children.remove(block.key);
    }
  }

  /** What is ready of the prompt goes after all that is now ready of others. */
  public void touch(Path path) {
    touch(path, readyBlocks(path));
  }

  /** The last block first, so that it goes before those it stands on. */
  private void touch(Path path, int blocks) {
    for (int i = blocks - 1; i >= 0; i--) {
      if (ready.remove(path.blocks[i])) {
        ready.add(path.blocks[i]);
      }
    }
  }

  /** Complete pages of a layer that end in the first {@code blocks} blocks. */
  private int pagesThrough(int blocks) {
    return layout.pagesEndingBy(blocks * blockTokens);
  }

  /** Blocks that are ready. */
  public int readyBlocks() {
    return ready.size();
  }
}
