package dev.bulkgen.backend.cpu;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheCodec;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.SplittableRandom;

/**
 * A cache as the CPU backend keeps it, one layer of it in use, for tests that hold another backend
 * to its bytes. All memory begins with another's random bytes; pages lie in random order.
 */
public final class CacheOracle {
  private final CacheLayout layout;
  private final CachePolicy.Kivi kivi;
  private final int layer;
  private final CpuCacheStore store;
  private final PagePool pool;
  private final SequenceCache[] sequences;
  private final CacheWriter writer;
  private final int[] place; // of each page in the dump

  /**
   * K and V of one sequence's tokens.
   *
   * @param keys [kvHeads][tokens][headDim] float16 values
   * @param values likewise
   */
  public record Tokens(float[][][] keys, float[][][] values) {}

  public CacheOracle(CacheLayout layout, int layer, int slots, int maxTokens, long seed) {
    this.layout = layout;
    this.layer = layer;
    kivi = layout.policy() instanceof CachePolicy.Kivi policy ? policy : null;
    int pages = slots * layout.layers() * maxPages(maxTokens);
    store = new CpuCacheStore(layout, new CacheCapacity(pages, slots, maxTokens));
    pool = new PagePool(pages);
    sequences = new SequenceCache[slots];
    writer = new CacheWriter(layout);
    place = new int[pages];
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < pages; i++) {
      int other = random.nextInt(i + 1);
      place[i] = place[other];
      place[other] = i;
    }
    for (int slot = 0; slot < slots; slot++) {
      sequences[slot] = new SequenceCache(slot, layout.layers());
      pool.grow(sequences[slot].pages(), maxPages(maxTokens));
      soil(sequences[slot], random);
    }
    for (SequenceCache sequence : sequences) {
      pool.release(sequence.pages());
    }
  }

  public int maxPages(int maxTokens) {
    return Math.max(1, layout.pagesPerLayer(maxTokens));
  }

  private void soil(SequenceCache sequence, SplittableRandom random) {
    short[] window = new short[layout.windowHeadBytes() / 2];
    short[] page = new short[layout.pageHeadBytes() / 2];
    for (int l = 0; l < layout.layers(); l++) {
      for (int head = 0; head < layout.kvHeads(); head++) {
        CpuCacheStore.Part part = store.part(sequence, l, head);
        for (int i = 0; i < sequence.pages().count(l); i++) {
          part.writePage(i, 0, random(page, random), 0, page.length);
        }
        if (window.length > 0) {
          part.writeWindow(0, random(window, random), 0, window.length);
        }
      }
    }
  }

  private static short[] random(short[] target, SplittableRandom random) {
    for (int i = 0; i < target.length; i++) {
      target[i] = (short) random.nextInt();
    }
    return target;
  }

  /** Prefills the first {@code length} tokens. */
  public void storePrompt(int slot, Tokens tokens, int length) {
    int headDim = layout.headDim();
    int tiles = (length + 15) / 16;
    reserve(slot, length);
    for (int head = 0; head < layout.kvHeads(); head++) {
      float[] keyTiles = new float[tiles * headDim * 16];
      float[] panels = new float[(headDim + 15) / 16 * tiles * 256];
      for (int t = 0; t < length; t++) {
        for (int d = 0; d < headDim; d++) {
          keyTiles[(t / 16 * headDim + d) * 16 + t % 16] = tokens.keys[head][t][d];
          panels[(d / 16 * tiles * 16 + t) * 16 + d % 16] = tokens.values[head][t][d];
        }
      }
      writer.keepPrompt(
          part(slot, head),
          new CacheWriter.PromptTokens(0, length, keyTiles, 0, panels, 0, tiles * 256),
          true);
    }
  }

  /** Puts the token at {@code position} where a step that attends finds it. */
  public void append(int slot, Tokens tokens, int position) {
    reserve(slot, position + 1);
    for (int head = 0; head < layout.kvHeads(); head++) {
      float[] key = tokens.keys[head][position];
      writer.append(part(slot, head), position, key, tokens.values[head][position], 0);
    }
  }

  /** Quantizes what the token at {@code position} pushes out. */
  public void flush(int slot, int position) {
    for (int head = 0; head < layout.kvHeads(); head++) {
      writer.flush(part(slot, head), position + 1);
    }
  }

  /** Takes the pages of {@code length} tokens. */
  public void reserve(int slot, int length) {
    pool.grow(sequences[slot].pages(), layout.pagesPerLayer(length));
  }

  private CpuCacheStore.Part part(int slot, int head) {
    return store.part(sequences[slot], layer, head);
  }

  /** [slots][layers][maxPages]; −1 where a sequence has no page. */
  public int[] pageTable(int maxPages) {
    int[] table = new int[sequences.length * layout.layers() * maxPages];
    for (int i = 0; i < table.length; i++) {
      SequenceCache sequence = sequences[i / maxPages / layout.layers()];
      int l = i / maxPages % layout.layers();
      int index = i % maxPages;
      table[i] = index < sequence.pages().count(l) ? place[sequence.pages().page(l, index)] : -1;
    }
    return table;
  }

  /** [pages][kvHeads][pageHeadBytes] of the layer's pages; the other bytes are 0. */
  public byte[] pages() {
    byte[] all = new byte[place.length * layout.pageBytes()];
    short[] half = new short[layout.pageHeadBytes() / 2];
    for (int slot = 0; slot < sequences.length; slot++) {
      for (int i = 0; i < sequences[slot].pages().count(layer); i++) {
        int page = place[sequences[slot].pages().page(layer, i)];
        for (int head = 0; head < layout.kvHeads(); head++) {
          part(slot, head).readPage(i, 0, half, 0, half.length);
          put(all, page * layout.pageBytes() + head * layout.pageHeadBytes(), half);
        }
      }
    }
    return all;
  }

  /** [slots][layers][kvHeads][windowHeadBytes], at least one byte. */
  public byte[] windows() {
    int unit = layout.windowHeadBytes();
    byte[] all = new byte[(int) Math.max(1, sequences.length * layout.windowBytes())];
    short[] half = new short[unit / 2];
    for (int i = 0; unit > 0 && i < sequences.length * layout.layers() * layout.kvHeads(); i++) {
      int slot = i / layout.kvHeads() / layout.layers();
      int l = i / layout.kvHeads() % layout.layers();
      store.part(sequences[slot], l, i % layout.kvHeads()).readWindow(0, half, 0, half.length);
      put(all, i * unit, half);
    }
    return all;
  }

  private static void put(byte[] target, int at, short[] halves) {
    ByteBuffer.wrap(target)
        .order(ByteOrder.nativeOrder())
        .position(at)
        .slice()
        .order(ByteOrder.nativeOrder())
        .asShortBuffer()
        .put(halves);
  }

  /** What a step reads for the keys of a head, {@code cached} tokens flushed before it. */
  public float[][] keysSeen(Tokens tokens, int head, int cached) {
    float[][] seen = copy(tokens.keys[head]);
    int end = kivi == null ? 0 : layout.keysInPages(cached);
    for (int j = 0; j < end; j += kivi.group()) {
      int first = kivi.sink() + j;
      float[] channel = new float[kivi.group()];
      CacheCodec codec = new CacheCodec(kivi.keyBits(), kivi.group());
      for (int d = 0; d < layout.headDim(); d++) {
        for (int i = 0; i < channel.length; i++) {
          channel[i] = seen[first + i][d];
        }
        codec.encode(channel, 0, 1, channel.length);
        for (int i = 0; i < channel.length; i++) {
          seen[first + i][d] = CacheCodec.decode(codec.code(i), codec.scale(), codec.zero());
        }
      }
    }
    return seen;
  }

  /** The same for values. */
  public float[][] valuesSeen(Tokens tokens, int head, int cached) {
    float[][] seen = copy(tokens.values[head]);
    int end = kivi == null ? 0 : layout.valuesInPages(cached);
    for (int j = 0; j < end; j++) {
      float[] value = seen[kivi.sink() + j];
      CacheCodec codec = new CacheCodec(kivi.valueBits(), kivi.group());
      for (int d = 0; d < value.length; d += kivi.group()) {
        int count = Math.min(kivi.group(), value.length - d);
        codec.encode(value, d, 1, count);
        for (int i = 0; i < count; i++) {
          value[d + i] = CacheCodec.decode(codec.code(i), codec.scale(), codec.zero());
        }
      }
    }
    return seen;
  }

  private static float[][] copy(float[][] rows) {
    float[][] copies = new float[rows.length][];
    for (int i = 0; i < rows.length; i++) {
      copies[i] = rows[i].clone();
    }
    return copies;
  }
}
