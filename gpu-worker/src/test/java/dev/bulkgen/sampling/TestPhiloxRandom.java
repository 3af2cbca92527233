package dev.bulkgen.sampling;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class TestPhiloxRandom {

  /** The known answers that the authors of Philox publish with Random123. */
  @Test
  void testKnownAnswers() {
    assertBlock(
        new int[] {0, 0, 0, 0}, 0, 0, new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    assertBlock(
        new int[] {-1, -1, -1, -1},
        -1,
        -1,
        new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    assertBlock(
        new int[] {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
        0xa4093822,
        0x299f31d0,
        new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  }

  @Test
  void testRowHashIsFixed() {
    // The first 8 bytes of the SHA-256 of "" and "abc" (FIPS 180-2, appendix B.1).
    assertEquals(0xe3b0c44298fc1c14L, PhiloxRandom.rowHash(""));
    assertEquals(0xba7816bf8f01cfeaL, PhiloxRandom.rowHash("abc"));
  }

  @Test
  void testMapping() {
    long hash = PhiloxRandom.rowHash("row-7");
    int[] block = {5, 2, (int) hash, (int) (hash >>> 32)};
    PhiloxRandom.encrypt(block, 0x89abcdef, 0x01234567);
    long bits = Integer.toUnsignedLong(block[0]) << 21 | block[1] >>> 11;
    assertEquals(bits * 0x1p-53, new PhiloxRandom(0x0123456789abcdefL, "row-7", 2).uniform(5));
  }

  /** Against the product in unlimited precision. */
  @Test
  void testBelow() {
    PhiloxRandom random = new PhiloxRandom(9, "below", 1);
    for (long bound : new long[] {1, 2, 7, 1L << 39, (1L << 39) + 1, (1L << 61) - 1, 1L << 61}) {
      for (int step = 0; step < 50; step++) {
        BigDecimal exact = new BigDecimal(random.uniform(step)).multiply(new BigDecimal(bound));
        assertEquals(exact.toBigInteger().longValueExact(), random.below(step, bound));
      }
    }
  }

  @Test
  void testEveryPartOfTheKeyCounts() {
    Set<Double> draws = new HashSet<>();
    for (long seed : new long[] {0, 1, 1L << 32, -1}) {
      for (String key : new String[] {"a", "b", ""}) {
        for (int sample = 0; sample < 3; sample++) {
          for (int step = 0; step < 5; step++) {
            draws.add(new PhiloxRandom(seed, key, sample).uniform(step));
          }
        }
      }
    }
    assertEquals(4 * 3 * 3 * 5, draws.size());
  }

  @Test
  void testUniform() {
    int[] buckets = new int[16];
    int draws = 32_000;
    PhiloxRandom random = new PhiloxRandom(42, "uniform", 0);
    for (int i = 0; i < draws; i++) {
      buckets[(int) (random.uniform(i) * buckets.length)]++;
    }
    double expected = (double) draws / buckets.length;
    double chiSquare = 0;
    for (int count : buckets) {
      chiSquare += (count - expected) * (count - expected) / expected;
    }
    assertTrue(chiSquare < 37.7, "chi-square " + chiSquare + ", 15 degrees, 0.1 %");
  }

  private static void assertBlock(int[] counter, int key0, int key1, int[] expected) {
    PhiloxRandom.encrypt(counter, key0, key1);
    assertArrayEquals(expected, counter);
  }
}
