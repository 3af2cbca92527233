package dev.bulkgen.backend.cuda;

import static dev.bulkgen.backend.cuda.RawDevice.succeed;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.Float16;
import java.math.BigDecimal;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The emulated device's side of {@code device.cuh} against plain arithmetic. */
class TestEmulatedDeviceWrappers {
  private static final int NUMBERS = 1 << 16;
  private static final int THREADS = 256;

  private final Random random = new Random(7);
  private RawDevice device;

  @BeforeEach
  void open() {
    device = new RawDevice("wrappers");
  }

  @AfterEach
  void close() {
    if (device != null) {
      device.close();
    }
  }

  /** One thread a number. */
  private int[] runWide(String kernel, int[] in, int count, int outWords) {
    RawDevice.Launch launch =
        device.launch(kernel).grid((count + THREADS - 1) / THREADS, THREADS).count(count);
    return run(launch, in, outWords);
  }

  private int[] run(RawDevice.Launch launch, int[] in, int outWords) {
    DevicePointer source = device.words(in);
    DevicePointer out = device.allocate(outWords * 4L);
    succeed(launch.in(source).out(out).argumentBytes(24).run());
    return device.readWords(out, outWords);
  }

  private static boolean sameNumber(float x, float y) {
    return Float.isNaN(x)
        ? Float.isNaN(y)
        : Float.floatToRawIntBits(x) == Float.floatToRawIntBits(y);
  }

  @Test
  void testAllNumbersOf16BitsWiden() {
    int[] floats =
        runWide("widen_numbers", IntStream.range(0, NUMBERS).toArray(), NUMBERS, 2 * NUMBERS);
    for (int bits = 0; bits < NUMBERS; ++bits) {
      float half = Float.intBitsToFloat(floats[bits]);
      assertTrue(sameNumber(Float16.toFloatAny((short) bits), half), "half " + bits);
      float bfloat = Float.intBitsToFloat(floats[NUMBERS + bits]);
      assertTrue(sameNumber(BFloat16.toFloat((short) bits), bfloat), "bfloat " + bits);
    }
  }

  /**
   * Rounding is monotonic, so it is right everywhere if it is right beside every number of 16 bits
   * and beside every middle between two.
   */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void testRoundingIsRightBesideEveryTie(boolean isHalf) {
    int[] probes = new int[6 * NUMBERS];
    int[] expected = new int[6 * NUMBERS];
    for (int bits = 0; bits < NUMBERS; ++bits) {
      float number = isHalf ? Float16.toFloatAny((short) bits) : BFloat16.toFloat((short) bits);
      int next = (bits & 0x7fff) == 0x7fff ? bits : bits + 1;
      float after = isHalf ? Float16.toFloatAny((short) next) : BFloat16.toFloat((short) next);
      boolean isLast = Float.isInfinite(after) && !Float.isInfinite(number);
      // Beyond the largest number the next would be, were there no end, as far away again.
      double far = isHalf ? 65536.0 : 0x1p128;
      double beyond = isLast ? Math.copySign(far, number) : after;
      double middle = ((double) number + beyond) / 2;
      for (int i = 0; i < 3; ++i) {
        int at = 6 * bits + i;
        probes[at] = Float.floatToRawIntBits(beside(number, i));
        expected[at] = isNumber(number) && i > 0 ? -1 : bits;
        probes[at + 3] = Float.floatToRawIntBits(beside((float) middle, i));
        boolean isUp = i == 2 || i == 0 && (bits & 1) == 1;
        expected[at + 3] = isUp ? next : bits;
        if (Float.isNaN((float) middle) || Float.isInfinite(number)) {
          expected[at + 3] = -1;
        }
      }
    }
    int[] rounded = runWide("round_numbers", probes, probes.length, 2 * probes.length);
    for (int i = 0; i < probes.length; ++i) {
      int bits = rounded[isHalf ? i : probes.length + i];
      float probe = Float.intBitsToFloat(probes[i]);
      if (Float.isNaN(probe)) {
        assertEquals(0x7fff, bits, "NaN");
      } else if (expected[i] >= 0) {
        assertEquals(expected[i], bits, () -> "of " + probe);
      }
    }
  }

  // The number itself, the next towards 0, the next away from 0.
  private static float beside(float x, int which) {
    int bits = Float.floatToRawIntBits(x);
    if (which == 0 || Float.isNaN(x) || Float.isInfinite(x) || bits << 1 == 0) {
      return x;
    }
    return Float.intBitsToFloat(which == 1 ? bits - 1 : bits + 1);
  }

  private static boolean isNumber(float x) {
    return !Float.isNaN(x);
  }

  @Test
  void testPackedArithmeticRoundsOnce() {
    int count = 20_000;
    int[] in = random.ints(3L * count).toArray();
    for (int i = 0; i < in.length; i += 9) {
      // Sums that lie near ties: a small third number beside a large product.
      in[i] = 0x3f803c01 + (random.nextInt() & 0x00030003);
      in[i + 1] = 0x3f813c03;
      in[i + 2] = random.nextInt() & 0x80038003;
    }
    int[] out = runWide("packed_numbers", in, count, 3 * count);
    for (int i = 0; i < count; ++i) {
      for (int shift = 0; shift <= 16; shift += 16) {
        short x = (short) (in[3 * i] >>> shift);
        short y = (short) (in[3 * i + 1] >>> shift);
        short z = (short) (in[3 * i + 2] >>> shift);
        float[] half = {Float16.toFloatAny(x), Float16.toFloatAny(y), Float16.toFloatAny(z)};
        if (areNumbers(half)) {
          BigDecimal difference = exact(half[0]).subtract(exact(half[1]));
          assertRounded(difference, (short) (out[3 * i] >>> shift), true);
          assertRounded(productPlus(half), (short) (out[3 * i + 1] >>> shift), true);
        }
        float[] bfloat = {BFloat16.toFloat(x), BFloat16.toFloat(y), BFloat16.toFloat(z)};
        if (areNumbers(bfloat)) {
          assertRounded(productPlus(bfloat), (short) (out[3 * i + 2] >>> shift), false);
        }
      }
    }
  }

  private static boolean areNumbers(float[] values) {
    return Float.isFinite(values[0]) && Float.isFinite(values[1]) && Float.isFinite(values[2]);
  }

  private static BigDecimal exact(float x) {
    return new BigDecimal(x);
  }

  private static BigDecimal productPlus(float[] xyz) {
    return exact(xyz[0]).multiply(exact(xyz[1])).add(exact(xyz[2]));
  }

  // No neighbour of the result is nearer to the true value, and a tie has gone to the even one.
  private static void assertRounded(BigDecimal truth, short bits, boolean isHalf) {
    float result = isHalf ? Float16.toFloatAny(bits) : BFloat16.toFloat(bits);
    if (!Float.isFinite(result)) {
      double least = isHalf ? 65520.0 : Math.scalb(1.0 + 255.0 / 256, 127);
      assertTrue(truth.abs().compareTo(new BigDecimal(least)) >= 0, () -> "of " + truth);
      return;
    }
    BigDecimal error = exact(result).subtract(truth).abs();
    for (int step = -1; step <= 1; step += 2) {
      short other = (short) (bits + step);
      float neighbour = isHalf ? Float16.toFloatAny(other) : BFloat16.toFloat(other);
      if (Float.isFinite(neighbour) && (bits & 0x7fff) + step >= 0) {
        int order = exact(neighbour).subtract(truth).abs().compareTo(error);
        assertTrue(order > 0 || order == 0 && (bits & 1) == 0, () -> result + " of " + truth);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1})
  void testMatricesMultiply(int format) {
    int[] numbers = new int[16 * 16 + 16 * 8];
    double[] values = new double[numbers.length];
    for (int i = 0; i < numbers.length; ++i) {
      float value = (float) random.nextGaussian();
      numbers[i] = 0xffff & (format == 0 ? Float16.fromFloat(value) : BFloat16.fromFloat(value));
      values[i] =
          format == 0
              ? Float16.toFloatAny((short) numbers[i])
              : BFloat16.toFloat((short) numbers[i]);
    }
    int[] words = new int[numbers.length / 2];
    for (int i = 0; i < words.length; ++i) {
      words[i] = numbers[2 * i] | numbers[2 * i + 1] << 16;
    }
    int[] out = run(device.launch("multiply_matrices").shared(1024).count(format), words, 192);
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 8; ++column) {
        double sum = 0;
        for (int k = 0; k < 16; ++k) {
          sum += values[16 * row + k] * values[256 + 8 * k + column];
        }
        assertEquals(sum, Float.intBitsToFloat(out[8 * row + column]), 1e-5);
      }
    }
    for (int word = 0; word < 32; ++word) {
      int row = word / 4;
      int column = word % 4 * 2;
      assertEquals(numbers[16 * column + row], out[128 + word] & 0xffff);
      assertEquals(numbers[16 * (column + 1) + row], out[128 + word] >>> 16);
      assertEquals(0, out[160 + word]);
    }
  }

  @Test
  void testLanesExchange() {
    int[] in = random.ints(64, 0, 1000).toArray();
    in[3] = 7;
    int[] out = run(device.launch("exchange_lanes").grid(1, 64), in, 640);
    for (int thread = 0; thread < 64; ++thread) {
      int first = thread & 32;
      int lane = thread & 31;
      int half = first | lane & 16;
      int x = in[thread];
      int[] expected = {
        in[first + 5],
        in[thread ^ 9],
        in[lane < 29 ? thread + 3 : thread],
        in[lane >= 3 ? thread - 3 : thread],
        ballot(in, first, 32, 1),
        IntStream.range(first, first + 32).anyMatch(i -> in[i] == 7) ? 1 : 0,
        1,
        lane < 16 ? in[thread ^ 1] + in[thread ^ 2] : in[thread ^ 4],
        ballot(in, half, 16, 2) << (lane & 16),
        in[thread ^ 1]
            + bytesMixed(x, lane)
            + Integer.numberOfLeadingZeros(x)
            + (x == 0 ? 0 : Integer.numberOfTrailingZeros(x) + 1)
            + Integer.bitCount(x)
            + (x >>> 1),
      };
      int[] found = Arrays.copyOfRange(out, 10 * thread, 10 * thread + 10);
      assertArrayEquals(expected, found, "thread " + thread);
    }
  }

  private static int ballot(int[] in, int first, int lanes, int bit) {
    int votes = 0;
    for (int i = 0; i < lanes; ++i) {
      votes |= (in[first + i] & bit) != 0 ? 1 << i : 0;
    }
    return votes;
  }

  // Bytes 0 and 1 of x, in turn with bytes 0 and 1 of y.
  private static int bytesMixed(int x, int y) {
    return x & 0xff | (y & 0xff) << 8 | (x >> 8 & 0xff) << 16 | (y >> 8 & 0xff) << 24;
  }

  @Test
  void testPowersOfTwo() {
    float[] exponents = {0, 1, -1, 0.5f, -126, -127, -200, 127.5f, 129, Float.NEGATIVE_INFINITY};
    int[] in = new int[exponents.length];
    for (int i = 0; i < in.length; ++i) {
      in[i] = Float.floatToRawIntBits(exponents[i]);
    }
    int[] out = runWide("powers_of_two", in, in.length, in.length);
    for (int i = 0; i < in.length; ++i) {
      float expected = (float) Math.pow(2, exponents[i]);
      expected = expected < Float.MIN_NORMAL ? 0 : expected;
      assertEquals(expected, Float.intBitsToFloat(out[i]), 1e-6f * expected);
    }
  }
}
