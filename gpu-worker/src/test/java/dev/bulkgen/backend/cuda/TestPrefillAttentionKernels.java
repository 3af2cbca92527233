package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.tensor.DType;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestPrefillAttentionKernels {
  // Around warps of 16 rows and tiles of 64.
  private static final int[] LENGTHS = {1, 15, 16, 17, 63, 64, 65, 127, 130};

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
    OptionalInt slidingWindow = window == 0 ? OptionalInt.empty() : OptionalInt.of(window);
    return new AttentionShape(queryHeads, kvHeads, headDim, slidingWindow, false);
  }

  @ParameterizedTest(name = "{2} of {0}/{1} heads, window {3}, {4} pieces of {5}")
  @CsvSource({
    "4, 2, 8, 0, 1, F16",
    "4, 2, 8, 33, 2, F16",
    "3, 1, 20, 0, 2, F16",
    "4, 1, 30, 7, 1, BF16",
    "8, 1, 32, 0, 1, F16",
    "3, 3, 32, 0, 2, BF16",
    "7, 1, 64, 0, 1, BF16",
    "2, 1, 64, 0, 2, F16",
    "2, 2, 64, 64, 2, BF16",
    "5, 1, 80, 0, 1, F16",
    "1, 1, 80, 100, 2, F16",
    "6, 1, 96, 0, 1, BF16",
    "1, 1, 96, 1, 2, F16",
    "2, 2, 128, 0, 1, BF16",
    "2, 1, 128, 50, 1, F16",
    "1, 1, 128, 0, 2, F16",
    "1, 1, 160, 0, 1, F16",
    "1, 1, 192, 65, 2, F16",
    "1, 1, 256, 0, 1, F16",
    "1, 1, 256, 40, 1, BF16",
    "2, 1, 256, 0, 2, F16",
    "1, 1, 256, 31, 2, F16"
  })
  void equalsAttentionInDouble(
      int queryHeads, int kvHeads, int headDim, int window, int pieces, DType type) {
    PromptAttention prompts =
        new PromptAttention(shape(queryHeads, kvHeads, headDim, window), LENGTHS, headDim);
    short[] out = prompts.run(context, pieces, type);
    // One piece: 8 or 11 bits of the result, and of queries and probabilities 11. Two: float's
    // sums.
    double tolerance = pieces == 2 ? 1e-5 : type == DType.BF16 ? 8e-3 : 4e-3;
    int plane = prompts.rows * prompts.outStride;
    for (int s = 0; s < LENGTHS.length; s++) {
      for (int position = 0; position < LENGTHS[s]; position++) {
        double[] expected = prompts.expected(s, position);
        int row = (prompts.firstRow[s] + position) * prompts.outStride;
        for (int i = 0; i < prompts.outStride; i++) {
          double want = i < expected.length ? expected[i] : 0;
          double got = PromptAttention.number(out, plane, row + i, type);
          double bound = i < expected.length ? tolerance * Math.max(1, Math.abs(want)) : 0;
          assertTrue(
              Math.abs(got - want) <= bound,
              "sequence of " + LENGTHS[s] + " at " + position + ", " + i + ": " + got + " " + want);
        }
      }
    }
  }

  @ParameterizedTest(name = "head size {0}, window {1}, {2} pieces")
  @CsvSource({"24, 0, 1", "64, 0, 1", "64, 37, 2", "128, 20, 1", "256, 70, 2"})
  void bitsOfAPromptDoNotDependOnItsNeighbours(int headDim, int window, int pieces) {
    AttentionShape shape = shape(2, 1, headDim, window);
    int[] lengths = {40, 130, 20};
    PromptAttention alone = new PromptAttention(shape, new int[] {lengths[1]}, 1);
    PromptAttention packed = new PromptAttention(shape, lengths, 2);
    packed.copySequence(1, alone, 0);
    packed.spoil(0);
    packed.spoil(2);
    short[] expected = alone.run(context, pieces, DType.F16);
    short[] out = packed.run(context, pieces, DType.F16);
    for (int piece = 0; piece < pieces; piece++) {
      int from = (piece * packed.rows + lengths[0]) * packed.outStride;
      int count = lengths[1] * packed.outStride;
      assertArrayEquals(
          Arrays.copyOfRange(expected, piece * count, (piece + 1) * count),
          Arrays.copyOfRange(out, from, from + count));
    }
  }

  @ParameterizedTest(name = "head size {0}, window {1}, {2} pieces")
  @CsvSource({"32, 0, 1", "64, 10, 1", "64, 10, 2", "128, 70, 1", "256, 33, 2", "256, 33, 1"})
  void bitsOfARowDoNotDependOnTheOthersOfItsTile(int headDim, int window, int pieces) {
    PromptAttention prompt = new PromptAttention(shape(1, 1, headDim, window), new int[] {200}, 3);
    short[] expected = prompt.run(context, pieces, DType.F16);
    // Other tiles: the rows stand elsewhere in their warps, with other keys masked for all of them.
    for (int start : new int[] {7, 100, 127, 191}) {
      List<PromptAttention.Tile> shifted = List.of(new PromptAttention.Tile(0, start));
      short[] out = prompt.run(context, pieces, DType.F16, shifted, 0);
      int plane = prompt.rows * prompt.outStride;
      int from = start * prompt.outStride;
      int to = Math.min(start + PrefillAttentionKernels.QUERY_TILE, 200) * prompt.outStride;
      for (int piece = 0; piece < pieces; piece++) {
        assertArrayEquals(
            Arrays.copyOfRange(expected, piece * plane + from, piece * plane + to),
            Arrays.copyOfRange(out, piece * plane + from, piece * plane + to),
            "tile from " + start);
      }
    }
  }

  /** Earlier tokens in pages, as staged and as the cache has them, at any cut. */
  @ParameterizedTest(name = "head size {0}, window {1}, {2} pieces")
  @CsvSource({"8, 0, 1", "64, 0, 2", "80, 37, 1", "128, 0, 1", "192, 0, 1", "256, 70, 2"})
  void bitsDoNotDependOnWhereAPromptIsCut(int headDim, int window, int pieces) {
    int[] lengths = {200, 40, 131};
    PromptAttention prompts = new PromptAttention(shape(4, 2, headDim, window), lengths, 6);
    short[] expected = prompts.run(context, pieces, DType.F16);
    for (int[] cut : new int[][] {{64, 0, 32}, {21, 39, 130}, {160, 32, 96}}) {
      for (boolean inTiles : new boolean[] {false, true}) {
        prompts.earlier = cut;
        prompts.keptInTiles = inTiles;
        List<PromptAttention.Tile> tiles = prompts.tiles();
        short[] out = prompts.run(context, pieces, DType.F16, tiles, 0);
        for (PromptAttention.Tile tile : tiles) {
          int row = prompts.firstRow[tile.sequence()] + tile.start();
          int end = Math.min(lengths[tile.sequence()], tile.start() + 64);
          int from = row * prompts.outStride;
          int to = (prompts.firstRow[tile.sequence()] + end) * prompts.outStride;
          int plane = prompts.rows * prompts.outStride;
          for (int piece = 0; piece < pieces; piece++) {
            assertArrayEquals(
                Arrays.copyOfRange(expected, piece * plane + from, piece * plane + to),
                Arrays.copyOfRange(out, piece * plane + from, piece * plane + to),
                "sequence " + tile.sequence() + " cut at " + cut[tile.sequence()]);
          }
        }
      }
    }
  }

  @Test
  void aBlockOfQueriesSeesTheKeysOfEarlierBlocks() {
    PromptAttention prompts = new PromptAttention(shape(2, 1, 64, 0), new int[] {10, 150}, 4);
    int firstQueryRow = 10 + PrefillAttentionKernels.QUERY_TILE;
    List<PromptAttention.Tile> tiles =
        List.of(new PromptAttention.Tile(1, 128), new PromptAttention.Tile(1, 64));
    short[] whole = prompts.run(context, 1, DType.BF16);
    short[] block = prompts.run(context, 1, DType.BF16, tiles, firstQueryRow);
    int from = firstQueryRow * prompts.outStride;
    assertArrayEquals(Arrays.copyOfRange(whole, from, whole.length), block);
  }

  @Test
  void hugeQueriesStayFinite() {
    PromptAttention prompt = new PromptAttention(shape(1, 1, 32, 0), new int[] {20}, 5);
    Arrays.fill(prompt.query, 1e9f);
    short[] out = prompt.run(context, 1, DType.F16);
    for (int i = 0; i < out.length; i++) {
      double number = PromptAttention.number(out, out.length, i, DType.F16);
      assertTrue(Math.abs(number) < 100, "at " + i + ": " + number);
    }
  }

  @Test
  void refusesHeadsAndBuffersThatNoKernelTakes() {
    KernelLibrary kernels = context.kernels();
    assertThrows(
        BulkgenException.class, () -> new PrefillAttentionKernels(kernels, shape(1, 1, 258, 0), 1));
    BulkgenException odd =
        assertThrows(
            BulkgenException.class,
            () -> new PrefillAttentionKernels(kernels, shape(1, 1, 7, 0), 1));
    assertEquals("heads of 7: prefill attention takes even sizes up to 256", odd.getMessage());
    PrefillAttentionKernels attention = new PrefillAttentionKernels(kernels, shape(1, 1, 64, 0), 1);
    try (CudaStream stream = context.newStream("refused")) {
      assertThrows(
          BulkgenException.class,
          () ->
              attention.attend(
                  stream,
                  new PrefillAttentionKernels.Queries(64, 0),
                  new PromptView(68, 64, 64, 64, 64, 64, PromptView.Kept.NONE),
                  0,
                  new PrefillAttentionKernels.Tiles(1, 64, 64),
                  Pieces.of(64, DType.F16, 1, 1, 64)));
      assertThrows(
          BulkgenException.class,
          () ->
              attention.attend(
                  stream,
                  new PrefillAttentionKernels.Queries(64, 0),
                  new PromptView(64, 64, 64, 64, 64, 64, PromptView.Kept.NONE),
                  0,
                  new PrefillAttentionKernels.Tiles(1, 64, 64),
                  Pieces.of(64, DType.F16, 1, 1, 32)));
    }
  }
}
