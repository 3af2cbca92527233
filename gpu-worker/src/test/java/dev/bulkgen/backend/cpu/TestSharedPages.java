package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.backend.SequenceStep.Kind;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Who shares a prefix writes to none of its pages, not even the bytes that are there. */
class TestSharedPages {
  private static final int PREFIX = 256;
  private static final int PROMPT = 300;
  private static final short MARK = 0x3555; // a third, also where nobody expects a float16

  private CpuBackend backend;

  static Stream<CachePolicy> policies() {
    return Stream.of(
        CachePolicy.FP16,
        new CachePolicy.Kivi(2, 2, 16, 16, 0),
        new CachePolicy.Kivi(4, 2, 32, 128, 32),
        new CachePolicy.Kivi(2, 4, 48, 48, 48));
  }

  @ParameterizedTest
  @MethodSource("policies")
  void sharersWriteToNone(CachePolicy policy) {
    RandomModels.Form form =
        new RandomModels.Form(
            4, 2, 24, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 0, DType.BF16);
    ModelWeights weights = RandomModels.make(form, 71);
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    CacheCapacity room = BackendSession.room(layout, 2, PROMPT + 100, PROMPT + 60);
    try (BackendSession session = new BackendSession(this::open, weights, layout, room, 2, 9)) {
      int[] tokens = new SplittableRandom(3).ints(PROMPT + 60, 0, 66).toArray();
      SequenceCache creator = session.newSequence();
      session.stage(creator, PREFIX);
      session.step(creator, LogitsRequest.NONE, tokens);
      BackendSession.Prefix kept = session.keep(creator, PREFIX, tokens.length);
      session.release(creator);
      SequenceCache sharer = session.begin(kept, PROMPT);
      assertTrue(sharer.sharedPages() > 0);
      mark(layout, sharer);
      int[] rest = Arrays.copyOfRange(tokens, PREFIX, PROMPT);
      session.step(
          List.of(new BackendSession.Feed(sharer, LogitsRequest.NONE, Kind.PROMPT_END, rest)));
      for (int i = 0; i < 100; i++) {
        session.step(sharer, LogitsRequest.NONE, tokens[i]);
      }
      assertMarked(layout, sharer);
    }
  }

  private CpuBackend open(
      ModelWeights weights, CacheLayout layout, CacheCapacity capacity, int threads) {
    backend = CpuBackend.open(weights, layout, capacity, threads);
    return backend;
  }

  private void mark(CacheLayout layout, SequenceCache sharer) {
    short[] page = page(layout.pageHeadBytes());
    short[] exact = page(layout.staging().pageHeadBytes());
    for (int unit = 0; unit < layout.layers() * layout.kvHeads(); unit++) {
      CpuCacheStore.Part part = part(layout, sharer, unit);
      for (int i = 0; i < sharer.sharedPages(); i++) {
        part.writePage(i, 0, page, 0, page.length);
      }
      for (int i = 0; i < PREFIX / ExactPages.TOKENS; i++) {
        part.writeExact(i, 0, exact, 0, exact.length);
      }
    }
  }

  private void assertMarked(CacheLayout layout, SequenceCache sharer) {
    short[] page = page(layout.pageHeadBytes());
    short[] exact = page(layout.staging().pageHeadBytes());
    short[] readPage = new short[page.length];
    short[] readExact = new short[exact.length];
    for (int unit = 0; unit < layout.layers() * layout.kvHeads(); unit++) {
      CpuCacheStore.Part part = part(layout, sharer, unit);
      for (int i = 0; i < sharer.sharedPages(); i++) {
        part.readPage(i, 0, readPage, 0, page.length);
        assertArrayEquals(page, readPage, "page " + i);
      }
      for (int i = 0; i < PREFIX / ExactPages.TOKENS; i++) {
        part.readExact(i, 0, readExact, 0, exact.length);
        assertArrayEquals(exact, readExact, "exact page " + i);
      }
    }
  }

  private CpuCacheStore.Part part(CacheLayout layout, SequenceCache cache, int unit) {
    return backend.store().part(cache, unit / layout.kvHeads(), unit % layout.kvHeads());
  }

  private static short[] page(int bytes) {
    short[] page = new short[bytes / Short.BYTES];
    Arrays.fill(page, MARK);
    return page;
  }
}
