package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorKind;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestCpuCacheStore {
  private static final int HEADS = 2;

  /** The table of state vectors: window 128, no sink. */
  @ParameterizedTest
  @CsvSource({
    "1,0,0,1,0,1",
    "100,0,0,100,0,100",
    "128,0,128,0,0,128",
    "200,0,128,72,72,128",
    "300,0,256,44,172,128",
    "128,1,128,1,1,128",
    "200,55,128,127,127,128",
    "200,56,256,0,128,128"
  })
  void statesFollowTheTable(
      int prompt, int decoded, int keysCoded, int keysExact, int valuesCoded, int valuesExact) {
    CacheLayout layout = new CacheLayout(CachePolicy.KIVI2, 1, HEADS, 32);
    CachedSequence sequence = new CachedSequence(layout, prompt, decoded);
    int length = prompt + decoded;
    assertEquals(keysCoded, layout.keysInPages(length));
    assertEquals(keysExact, length - layout.keysInPages(length));
    assertEquals(valuesCoded, layout.valuesInPages(length));
    assertEquals(valuesExact, length - layout.valuesInPages(length));
    sequence.assertHoldsEverything();
  }

  @ParameterizedTest
  @CsvSource({
    "2,2,32,32,0,32,75,40",
    "4,2,16,16,32,8,90,30",
    "2,4,48,48,48,80,130,60",
    "4,4,128,128,0,20,140,130",
    "2,2,64,128,64,24,40,200",
    "4,4,16,64,16,128,5,100",
    "2,2,32,64,32,64,1,170"
  })
  void everyTokenIsWhereTheLayoutSays(
      int keyBits,
      int valueBits,
      int group,
      int window,
      int sink,
      int headDim,
      int prompt,
      int decoded) {
    CachePolicy policy = new CachePolicy.Kivi(keyBits, valueBits, group, window, sink);
    CacheLayout layout = new CacheLayout(policy, 2, HEADS, headDim);
    CachedSequence sequence = new CachedSequence(layout, prompt, decoded);
    sequence.assertHoldsEverything();
    assertEquals(layout.sequenceBytes(prompt + decoded), sequence.bytesTaken());
  }

  @ParameterizedTest
  @CsvSource({"1,0", "31,3", "64,40", "77,100"})
  void fp16KeepsEverything(int prompt, int decoded) {
    CacheLayout layout = new CacheLayout(CachePolicy.FP16, 2, HEADS, 40);
    CachedSequence sequence = new CachedSequence(layout, prompt, decoded);
    sequence.assertHoldsEverything();
    assertEquals(layout.sequenceBytes(prompt + decoded), sequence.bytesTaken());
  }

  @Test
  void takesExactlyWhatTheLayoutSays() {
    CacheLayout layout = new CacheLayout(CachePolicy.KIVI4, 3, HEADS, 64);
    CpuCacheStore store = new CpuCacheStore(layout, new CacheCapacity(7, 2, 64));
    assertEquals(7L * layout.pageBytes() + 2 * layout.windowBytes(), store.bytes());
    assertEquals(0, store.swapBytes());
    CpuCacheStore whole = new CpuCacheStore(layout, new CacheCapacity(7, 2, 64, 100, 5, 11, 3));
    long staging = 5L * layout.staging().pageBytes();
    assertEquals(store.bytes() + staging, whole.bytes());
    assertEquals(11L * layout.pageBytes() + 3 * layout.windowBytes(), whole.swapBytes());
  }

  @Test
  void slabsHoldWholeUnitsAndGuardTheirEnds() {
    Slabs slabs = Slabs.allocate("units", 7, 12, 30, ByteBuffer::allocateDirect);
    for (int unit = 0; unit < 7; unit++) {
      slabs.write(unit, 0, new int[] {unit, unit + 100, unit + 200}, 0, 3);
    }
    int[] read = new int[3];
    for (int unit = 0; unit < 7; unit++) {
      slabs.read(unit, 0, read, 0, 3);
      assertArrayEquals(new int[] {unit, unit + 100, unit + 200}, read);
    }
    assertEquals(84, slabs.bytes());
    assertThrows(IndexOutOfBoundsException.class, () -> slabs.read(0, 4, read, 0, 3));
    assertThrows(IndexOutOfBoundsException.class, () -> slabs.write(6, -2, (short) 1));
    assertThrows(IndexOutOfBoundsException.class, () -> slabs.read(7, 0, read, 0, 3));
  }

  @Test
  void moreThanTheMachineGivesIsAResourceError() {
    BulkgenException refused =
        assertThrows(
            BulkgenException.class,
            () ->
                Slabs.allocate(
                    "pages",
                    5,
                    1 << 20,
                    2 << 20,
                    bytes -> {
                      throw new OutOfMemoryError("Cannot reserve " + bytes);
                    }));
    assertEquals(ErrorKind.RESOURCE, refused.kind());
    assertTrue(refused.getMessage().contains("-XX:MaxDirectMemorySize"), refused.getMessage());
  }
}
