package dev.bulkgen.backend.cuda;

import dev.bulkgen.cache.CacheLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * K and V of prompts on the device: the first tokens of each in pages, in random order, the rest in
 * rows. Rows of tokens that are in pages, and what pages hold beyond them, are NaN.
 */
final class PromptsOnDevice implements AutoCloseable {
  static final int LAYER = 1;

  private static final int LAYERS = 2;
  private static final int PAGE = 32;
  private static final int TILE = CacheLayout.TOKEN_TILE;
  private static final short NAN = 0x7e00;

  final PromptView view;
  private final DeviceArrays arrays;
  private final PromptAttention prompts;
  private final List<DeviceMemory> memory = new ArrayList<>();

  PromptsOnDevice(DeviceArrays arrays, PromptAttention prompts) {
    this.arrays = arrays;
    this.prompts = prompts;
    int sequences = prompts.lengths.length;
    int maxPages = Arrays.stream(prompts.earlier).map(n -> (n + PAGE - 1) / PAGE).max().orElse(0);
    List<Integer> numbers = new ArrayList<>();
    IntStream.range(0, sequences * LAYERS * maxPages).forEach(numbers::add);
    Collections.shuffle(numbers, new Random(9));
    int[] table = numbers.stream().mapToInt(Integer::intValue).toArray();
    short[] keys = prompts.keys.clone();
    short[] values = prompts.values.clone();
    short[] pages = new short[Math.max(1, table.length * pageNumbers())];
    Arrays.fill(pages, NAN);
    for (int s = 0; s < sequences; s++) {
      for (int position = 0; position < prompts.earlier[s]; position++) {
        int page = table[(s * LAYERS + LAYER) * maxPages + position / PAGE];
        move(prompts.firstRow[s] + position, keys, values, pages, page, position % PAGE);
      }
    }
    view =
        new PromptView(
            address(keys),
            address(values),
            address(prompts.firstRow),
            address(prompts.lengths),
            address(prompts.earlier),
            address(IntStream.range(0, sequences).toArray()),
            new PromptView.Kept(
                address(pages),
                table.length == 0 ? 0 : address(table),
                LAYERS,
                maxPages,
                prompts.keptInTiles));
  }

  private int pageNumbers() {
    return 2 * PAGE * prompts.shape.kvWidth();
  }

  private void move(int row, short[] keys, short[] values, short[] pages, int page, int place) {
    int headDim = prompts.shape.headDim();
    for (int head = 0; head < prompts.shape.kvHeads(); head++) {
      int part = page * pageNumbers() + head * 2 * PAGE * headDim;
      int from = (row * prompts.shape.kvHeads() + head) * headDim;
      for (int d = 0; d < headDim; d++) {
        int key =
            prompts.keptInTiles
                ? (place / TILE * headDim + d) * TILE + place % TILE
                : place * headDim + d;
        pages[part + key] = keys[from + d];
        pages[part + (PAGE + place) * headDim + d] = values[from + d];
        keys[from + d] = NAN;
        values[from + d] = NAN;
      }
    }
  }

  private long address(short[] numbers) {
    return keep(arrays.upload("numbers of prompts", numbers));
  }

  private long address(int[] numbers) {
    return keep(arrays.upload("table of prompts", numbers));
  }

  private long keep(DeviceMemory taken) {
    memory.add(taken);
    return taken.address();
  }

  @Override
  public void close() {
    memory.forEach(DeviceMemory::close);
  }
}
