package dev.bulkgen.backend.cuda;

import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Prompts side by side with random queries, K and V; on the device and in double precision. */
final class PromptAttention {
  private static final int TILE = PrefillAttentionKernels.QUERY_TILE;
  private static final int DEPTH_STEP = 64;

  final AttentionShape shape;
  final int[] lengths;
  final int[] firstRow;
  final int rows;
  final float[] query; // [rows][queryHeads][headDim]
  final short[] keys; // [rows][kvHeads][headDim]
  final short[] values; // likewise
  final int outStride;

  /** Tokens of each sequence that are kept in pages, not in rows. */
  int[] earlier;

  /** Whether K of those lies in tiles. */
  boolean keptInTiles;

  /** A tile of queries that a block handles. */
  record Tile(int sequence, int start) {}

  PromptAttention(AttentionShape shape, int[] lengths, long seed) {
    this.shape = shape;
    this.lengths = lengths;
    earlier = new int[lengths.length];
    firstRow = new int[lengths.length];
    for (int s = 1; s < lengths.length; s++) {
      firstRow[s] = firstRow[s - 1] + lengths[s - 1];
    }
    rows = Arrays.stream(lengths).sum();
    outStride = (shape.queryWidth() / DEPTH_STEP + 1) * DEPTH_STEP;
    Random random = new Random(seed);
    query = new float[rows * shape.queryWidth()];
    double scale = 2 / (Math.log(2) * Math.sqrt(shape.headDim()));
    for (int i = 0; i < query.length; i++) {
      query[i] = (float) (scale * random.nextGaussian());
    }
    keys = halves(random);
    values = halves(random);
  }

  private short[] halves(Random random) {
    short[] halves = new short[rows * shape.kvWidth()];
    for (int i = 0; i < halves.length; i++) {
      halves[i] = Float16.fromFloat((float) random.nextGaussian());
    }
    return halves;
  }

  /** Gives {@code sequence} the queries, K and V of a sequence of {@code other} that is as long. */
  void copySequence(int sequence, PromptAttention other, int otherSequence) {
    copyRows(other.query, other.firstRow[otherSequence], query, sequence, shape.queryWidth());
    copyRows(other.keys, other.firstRow[otherSequence], keys, sequence, shape.kvWidth());
    copyRows(other.values, other.firstRow[otherSequence], values, sequence, shape.kvWidth());
  }

  private void copyRows(Object from, int fromRow, Object to, int sequence, int width) {
    int count = lengths[sequence] * width;
    System.arraycopy(from, fromRow * width, to, firstRow[sequence] * width, count);
  }

  /** Makes everything of a sequence NaN. */
  void spoil(int sequence) {
    int first = firstRow[sequence];
    int end = first + lengths[sequence];
    Arrays.fill(query, first * shape.queryWidth(), end * shape.queryWidth(), Float.NaN);
    Arrays.fill(keys, first * shape.kvWidth(), end * shape.kvWidth(), (short) 0x7e00);
    Arrays.fill(values, first * shape.kvWidth(), end * shape.kvWidth(), (short) 0x7e00);
  }

  /** The tiles that cover all rows that are not earlier ones. */
  List<Tile> tiles() {
    List<Tile> tiles = new ArrayList<>();
    for (int s = 0; s < lengths.length; s++) {
      for (int start = earlier[s]; start < lengths[s]; start += TILE) {
        tiles.add(new Tile(s, start));
      }
    }
    return tiles;
  }

  /** Planes [pieces][rows][outStride] of all rows. */
  short[] run(CudaContext context, int pieces, DType type) {
    return run(context, pieces, type, tiles(), 0);
  }

  /** The same of {@code tiles}, whose queries and results begin with row {@code firstQueryRow}. */
  short[] run(CudaContext context, int pieces, DType type, List<Tile> tiles, int firstQueryRow) {
    PrefillAttentionKernels kernels = new PrefillAttentionKernels(context.kernels(), shape, pieces);
    DeviceArrays arrays = new DeviceArrays(context);
    int queryRows = rows - firstQueryRow;
    long bytes = (long) pieces * queryRows * outStride * Pieces.BYTES;
    float[] queries = Arrays.copyOfRange(query, firstQueryRow * shape.queryWidth(), query.length);
    int[] tileSequence = tiles.stream().mapToInt(Tile::sequence).toArray();
    int[] tileStart = tiles.stream().mapToInt(Tile::start).toArray();
    try (DeviceMemory q = arrays.upload("queries", queries);
        PromptsOnDevice prompts = new PromptsOnDevice(arrays, this);
        DeviceMemory sequence = arrays.upload("tile sequences", tileSequence);
        DeviceMemory start = arrays.upload("tile starts", tileStart);
        DeviceMemory out = context.allocate(bytes, "attended");
        CudaStream stream = context.newStream("attention")) {
      kernels.attend(
          stream,
          new PrefillAttentionKernels.Queries(q.address(), firstQueryRow),
          prompts.view,
          PromptsOnDevice.LAYER,
          new PrefillAttentionKernels.Tiles(tiles.size(), sequence.address(), start.address()),
          Pieces.of(out.address(), type, pieces, queryRows, outStride));
      stream.synchronize();
      return arrays.shorts(out);
    }
  }

  /** The number at {@code index} of a plane of {@code planeNumbers}. */
  static double number(short[] planes, int planeNumbers, int index, DType type) {
    double sum = 0;
    for (int i = index; i < planes.length; i += planeNumbers) {
      sum += type == DType.BF16 ? BFloat16.toFloat(planes[i]) : Float16.toFloatAny(planes[i]);
    }
    return sum;
  }

  /** [queryWidth] results of the query at {@code position}. */
  double[] expected(int sequence, int position) {
    double[] out = new double[shape.queryWidth()];
    int headDim = shape.headDim();
    int from = shape.firstVisible(position);
    double[] scores = new double[position + 1 - from];
    for (int head = 0; head < shape.queryHeads(); head++) {
      int queryAt = (firstRow[sequence] + position) * shape.queryWidth() + head * headDim;
      int kvHead = head / shape.groupSize();
      double largest = Double.NEGATIVE_INFINITY;
      for (int key = from; key <= position; key++) {
        int keyAt = (firstRow[sequence] + key) * shape.kvWidth() + kvHead * headDim;
        double score = 0;
        for (int d = 0; d < headDim; d++) {
          score += (double) query[queryAt + d] * Float16.toFloat(keys[keyAt + d]);
        }
        scores[key - from] = score;
        largest = Math.max(largest, score);
      }
      double sum = 0;
      for (int i = 0; i < scores.length; i++) {
        double probability = Math.pow(2, scores[i] - largest);
        sum += probability;
        int valueAt = (firstRow[sequence] + from + i) * shape.kvWidth() + kvHead * headDim;
        for (int d = 0; d < headDim; d++) {
          out[head * headDim + d] += probability * Float16.toFloat(values[valueAt + d]);
        }
      }
      for (int d = 0; d < headDim; d++) {
        out[head * headDim + d] /= sum;
      }
    }
    return out;
  }
}
