package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.cpu.CacheOracle;
import dev.bulkgen.backend.cpu.CacheOracle.Tokens;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Attention of decode rows against sums in double over what the codec says is kept. */
class TestDecodeAttentionKernels {
  private static final int LAYERS = 2;
  private static final int LAYER = 1;

  private static CudaContext context;

  @BeforeAll
  static void open() {
    context = EmulatedDevice.open();
  }

  @AfterAll
  static void close() {
    if (context != null) {
      context.close();
    }
  }

  private static AttentionShape shape(int queryHeads, int kvHeads, int headDim, int window) {
    OptionalInt sliding = window > 0 ? OptionalInt.of(window) : OptionalInt.empty();
    return new AttentionShape(queryHeads, kvHeads, headDim, sliding, false);
  }

  @ParameterizedTest(name = "{0}/{1} heads of {2}, sliding {3}")
  @CsvSource({
    "1, 1, 8, 0",
    "2, 1, 24, 0",
    "3, 1, 32, 20",
    "8, 2, 64, 0",
    "5, 1, 80, 100",
    "2, 2, 96, 0",
    "4, 1, 128, 550",
    "1, 1, 128, 0",
    "7, 1, 256, 0",
    "71, 1, 64, 0"
  })
  void attendsInFloat16(int queryHeads, int kvHeads, int headDim, int sliding) {
    AttentionShape shape = shape(queryHeads, kvHeads, headDim, sliding);
    int[] lengths = queryHeads > 8 ? new int[] {17, 70} : new int[] {1, 15, 16, 17, 33, 600};
    check(CachePolicy.FP16, shape, lengths);
  }

  @ParameterizedTest(
      name = "k={0} v={1} group={2} window={3} sink={4}, {5}/{6} of {7}, sliding {8}")
  @CsvSource({
    "2, 2, 32, 128, 0, 1, 1, 128, 0",
    "2, 2, 32, 32, 0, 4, 1, 128, 0",
    "4, 4, 32, 64, 32, 4, 2, 64, 0",
    "4, 2, 16, 16, 0, 3, 1, 8, 0",
    "2, 4, 16, 32, 16, 2, 1, 24, 0",
    "2, 2, 16, 48, 0, 8, 1, 32, 70",
    "4, 4, 48, 48, 0, 1, 1, 80, 0",
    "2, 2, 48, 96, 48, 5, 1, 96, 0",
    "4, 2, 64, 64, 0, 6, 1, 128, 0",
    "2, 4, 64, 128, 0, 2, 1, 128, 130",
    "2, 2, 80, 80, 0, 7, 1, 64, 0",
    "2, 2, 128, 128, 0, 1, 1, 128, 0",
    "4, 4, 128, 128, 128, 2, 1, 256, 0",
    "2, 2, 32, 64, 0, 1, 1, 256, 0",
    "4, 4, 112, 112, 0, 3, 1, 40, 0",
    "4, 4, 32, 32, 32, 71, 1, 64, 0"
  })
  void attendsInCodes(
      int keyBits,
      int valueBits,
      int group,
      int window,
      int sink,
      int queryHeads,
      int kvHeads,
      int headDim,
      int sliding) {
    CachePolicy.Kivi policy = new CachePolicy.Kivi(keyBits, valueBits, group, window, sink);
    AttentionShape shape = shape(queryHeads, kvHeads, headDim, sliding);
    int more = 2 * window + 3;
    int[] lengths =
        queryHeads > 8
            ? new int[] {sink + 17, sink + more}
            : new int[] {
              1, 17, sink + 33, sink + window, sink + window + 1, sink + more + 31, sink + 600
            };
    check(policy, shape, lengths);
  }

  /** Rows of the given lengths, the new token included, in slots of another order. */
  private static void check(CachePolicy policy, AttentionShape shape, int... lengths) {
    Rows rows = new Rows(policy, shape, lengths, 3);
    rows.assertClose(rows.attend(2), 1e-5);
    rows.assertClose(rows.attend(1), 1e-3);
  }

  @ParameterizedTest
  @CsvSource({"2, 1", "4, 2"})
  void aRowsBitsDependOnItsOwnContextAlone(int bits, int pieces) {
    AttentionShape shape = shape(4, 2, 64, 0);
    for (CachePolicy policy :
        new CachePolicy[] {CachePolicy.FP16, new CachePolicy.Kivi(bits, bits, 32, 64, 32)}) {
      int[] company = {5, 700, 31, 333, 97};
      Rows together = new Rows(policy, shape, company, 3);
      float[][] expected = together.attend(pieces);
      Rows elsewhere = new Rows(policy, shape, company, 4);
      assertArrayEquals(expected, elsewhere.attend(pieces), "other pages");
      for (int row = 0; row < company.length; row++) {
        Rows alone = new Rows(policy, shape, row, company[row]);
        assertArrayEquals(expected[row], alone.attend(pieces)[0], "row " + row + " alone");
      }
    }
  }

  @Test
  void largeScalesOverflowNothing() {
    AttentionShape shape = shape(2, 1, 32, 0);
    Rows rows = new Rows(new CachePolicy.Kivi(2, 2, 32, 32, 0), shape, new int[] {130}, 3);
    rows.magnify(0, 9000, 20000);
    for (int pieces = 1; pieces <= 2; pieces++) {
      for (float x : rows.attend(pieces)[0]) {
        assertTrue(Math.abs(x) <= 40000, "" + x);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"2, 2", "2, 4", "4, 2", "4, 4"})
  void blocksFitTheSharedMemoryOfEveryCard(int keyBits, int valueBits) {
    for (int headDim = 8; headDim <= 128; headDim += 8) {
      for (int group = 16; group <= 128; group += 16) {
        CachePolicy policy = new CachePolicy.Kivi(keyBits, valueBits, group, group, 0);
        int bytes = DecodeShared.bytes(new CacheLayout(policy, 1, 1, headDim), 2);
        assertTrue(bytes <= 99 << 10, headDim + " in groups of " + group + ": " + bytes);
      }
    }
    int usual = DecodeShared.bytes(new CacheLayout(CachePolicy.KIVI2, 1, 1, 128), 1);
    assertTrue(4 * (usual + 1024) <= 228 << 10, "four blocks to a processor: " + usual);
  }

  /** Decode rows, their tokens and what they should see. */
  private static final class Rows {
    private static final int NO_ROW = 1; // one row of each launch is none

    private final AttentionShape shape;
    private final CacheLayout layout;
    private final int[] lengths;
    private final Tokens[] tokens;
    private final float[][] queries; // [rows][queryHeads · headDim]
    private final long pageSeed;

    Rows(CachePolicy policy, AttentionShape shape, int[] lengths, long pageSeed) {
      this.shape = shape;
      this.lengths = lengths;
      this.pageSeed = pageSeed;
      layout = new CacheLayout(policy, LAYERS, shape.kvHeads(), shape.headDim());
      tokens = new Tokens[lengths.length];
      queries = new float[lengths.length][];
      for (int row = 0; row < lengths.length; row++) {
        fill(row, row, lengths[row]);
      }
    }

    /** The row that has number {@code row} elsewhere, alone. */
    Rows(CachePolicy policy, AttentionShape shape, int row, int length) {
      this.shape = shape;
      this.lengths = new int[] {length};
      this.pageSeed = 9;
      layout = new CacheLayout(policy, LAYERS, shape.kvHeads(), shape.headDim());
      tokens = new Tokens[1];
      queries = new float[1][];
      fill(0, row, length);
    }

    private void fill(int row, int seed, int length) {
      tokens[row] = CacheOnDevice.tokens(layout, length, 50 + seed);
      SplittableRandom random = new SplittableRandom(70 + seed);
      queries[row] = new float[shape.queryWidth()];
      for (int i = 0; i < queries[row].length; i++) {
        double scale = 1.5 / Math.sqrt(shape.headDim());
        queries[row][i] = (float) (random.nextDouble(-1, 1) * scale);
      }
    }

    void magnify(int row, float keyScale, float valueScale) {
      for (int head = 0; head < shape.kvHeads(); head++) {
        for (int t = 0; t < lengths[row]; t++) {
          for (int d = 0; d < shape.headDim(); d++) {
            float key = tokens[row].keys()[head][t][d];
            float value = tokens[row].values()[head][t][d];
            tokens[row].keys()[head][t][d] = Float16.round(key * keyScale);
            tokens[row].values()[head][t][d] = Float16.round(value * valueScale);
          }
        }
      }
    }

    private CacheOracle oracle(int longest) {
      CacheOracle oracle = new CacheOracle(layout, LAYER, lengths.length, longest, pageSeed);
      for (int row = 0; row < lengths.length; row++) {
        int slot = lengths.length - 1 - row;
        if (lengths[row] > 1) {
          oracle.storePrompt(slot, tokens[row], lengths[row] - 1);
        }
        oracle.append(slot, tokens[row], lengths[row] - 1);
      }
      return oracle;
    }

    /** [rows][queryWidth] as the device attends. */
    float[][] attend(int pieces) {
      int count = lengths.length + NO_ROW;
      int longest = Arrays.stream(lengths).max().orElseThrow();
      CacheOracle oracle = oracle(longest);
      int[] positions = new int[count];
      int[] slots = new int[count];
      float[] query = new float[count * shape.queryWidth()];
      positions[lengths.length] = -1;
      for (int row = 0; row < lengths.length; row++) {
        positions[row] = lengths[row] - 1;
        slots[row] = lengths.length - 1 - row;
        System.arraycopy(queries[row], 0, query, row * shape.queryWidth(), queries[row].length);
      }
      DeviceArrays arrays = new DeviceArrays(context);
      DecodeAttentionKernels kernels =
          new DecodeAttentionKernels(context.kernels(), shape, layout, pieces);
      int splits = kernels.splits(longest);
      long partialBytes = kernels.partialCount(count, splits) * Float.BYTES;
      int stride = (shape.queryWidth() + 63) / 64 * 64;
      try (CudaStream stream = context.newStream("attention");
          CacheOnDevice cache =
              new CacheOnDevice(arrays, layout, oracle, oracle.maxPages(longest));
          DeviceMemory deviceQuery = arrays.upload("query", query);
          DeviceMemory devicePositions = arrays.upload("positions", positions);
          DeviceMemory deviceSlots = arrays.upload("slots", slots);
          DeviceMemory out = context.allocate(partialBytes, "partial out");
          DeviceMemory max = context.allocate(partialBytes / shape.headDim(), "partial max");
          DeviceMemory sum = context.allocate(partialBytes / shape.headDim(), "partial sum");
          DeviceMemory result = context.allocate(2L * 2 * count * stride, "result")) {
        DecodeAttentionKernels.Rows rows =
            new DecodeAttentionKernels.Rows(
                count, deviceQuery.address(), devicePositions.address(), deviceSlots.address());
        DecodeAttentionKernels.Partials partials =
            new DecodeAttentionKernels.Partials(
                splits, out.address(), max.address(), sum.address());
        kernels.attend(stream, cache.view, LAYER, rows, partials);
        Pieces target = Pieces.of(result.address(), DType.F16, 2, count, stride);
        kernels.merge(stream, rows, partials, target);
        stream.synchronize();
        return rows(arrays.shorts(result), count, stride);
      }
    }

    private float[][] rows(short[] pieces, int count, int stride) {
      float[][] rows = new float[lengths.length][shape.queryWidth()];
      for (int row = 0; row < count; row++) {
        for (int i = 0; i < stride; i++) {
          float high = Float16.toFloatAny(pieces[row * stride + i]);
          float low = Float16.toFloatAny(pieces[(count + row) * stride + i]);
          if (row < lengths.length && i < shape.queryWidth()) {
            rows[row][i] = high + low;
          } else {
            assertEquals(0, high, "number " + i + " of row " + row);
            assertEquals(0, low, "number " + i + " of row " + row);
          }
        }
      }
      return rows;
    }

    void assertClose(float[][] actual, double tolerance) {
      CacheOracle oracle = oracle(Arrays.stream(lengths).max().orElseThrow());
      for (int row = 0; row < lengths.length; row++) {
        for (int kvHead = 0; kvHead < shape.kvHeads(); kvHead++) {
          float[][] keys = oracle.keysSeen(tokens[row], kvHead, lengths[row] - 1);
          float[][] values = oracle.valuesSeen(tokens[row], kvHead, lengths[row] - 1);
          for (int h = 0; h < shape.groupSize(); h++) {
            int head = kvHead * shape.groupSize() + h;
            double[] expected = attention(queries[row], head, keys, values);
            for (int d = 0; d < shape.headDim(); d++) {
              float found = actual[row][head * shape.headDim() + d];
              String where = "length " + lengths[row] + " head " + head + " channel " + d;
              assertEquals(expected[d], found, tolerance, where);
            }
          }
        }
      }
    }

    private double[] attention(float[] query, int head, float[][] keys, float[][] values) {
      int headDim = shape.headDim();
      double[] out = new double[headDim];
      double sum = 0;
      for (int t = shape.firstVisible(keys.length - 1); t < keys.length; t++) {
        double score = 0;
        for (int d = 0; d < headDim; d++) {
          score += (double) query[head * headDim + d] * keys[t][d];
        }
        double weight = Math.pow(2, score);
        sum += weight;
        for (int d = 0; d < headDim; d++) {
          out[d] += weight * values[t][d];
        }
      }
      for (int d = 0; d < headDim; d++) {
        out[d] /= sum;
      }
      return out;
    }
  }
}
