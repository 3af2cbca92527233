package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/** Launches copies of whole blocks by index, and of single entries of tables. */
public final class CopyKernels {
  // chunkBytes of copy.cu.
  private static final int CHUNK_BYTES = 4096;
  private static final int WORD = 4;
  private static final int GRID_ROWS = 65535;

  private final Kernel blocksKernel;
  private final KernelArguments blocksArguments;
  private final Kernel scatterKernel;
  private final KernelArguments scatterArguments;
  private final int blocksAtOnce;

  /**
   * One side of a copy, by address.
   *
   * @param blocks [..] blocks side by side
   * @param index [count] int: the number of each block; 0: they are numbered 0, 1, ...
   */
  public record Blocks(long blocks, long index) {

    private Blocks from(int first, long bytes) {
      return index == 0
          ? new Blocks(blocks + first * bytes, 0)
          : new Blocks(blocks, index + (long) first * WORD);
    }
  }

  public CopyKernels(KernelLibrary kernels) {
    this(kernels, GRID_ROWS);
  }

  /**
   * @param blocksAtOnce most blocks that one launch copies
   */
  CopyKernels(KernelLibrary kernels, int blocksAtOnce) {
    this.blocksAtOnce = blocksAtOnce;
    blocksKernel = kernels.kernel("copy_blocks");
    blocksArguments = blocksKernel.arguments();
    scatterKernel = kernels.kernel("scatter_ints");
    scatterArguments = scatterKernel.arguments();
  }

  /**
   * Copies {@code count} blocks of {@code bytes} bytes; none may be source and target in one call.
   *
   * @throws BulkgenException INTERNAL unless all sizes and addresses are multiples of 4
   */
  public void copyBlocks(CudaStream stream, Blocks target, Blocks source, long bytes, int count) {
    if (bytes < 1 || (bytes | target.blocks | source.blocks) % WORD != 0) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "blocks of %d bytes are copied from %x to %x: not by words of 4",
          bytes,
          source.blocks,
          target.blocks);
    }
    int chunks = Math.toIntExact((bytes + CHUNK_BYTES - 1) / CHUNK_BYTES);
    for (int first = 0; first < count; first += blocksAtOnce) {
      Blocks to = target.from(first, bytes);
      Blocks from = source.from(first, bytes);
      blocksArguments
          .setAddress("target", to.blocks)
          .setAddress("source", from.blocks)
          .setAddress("targetIndex", to.index)
          .setAddress("sourceIndex", from.index)
          .set("bytes", bytes);
      int blocks = Math.min(blocksAtOnce, count - first);
      blocksKernel.launch(stream, Grid.of(chunks, blocks), 0, blocksArguments);
    }
  }

  /**
   * {@code table[indices[i]] = values[i]}, all int and by address; of equal indices any one wins.
   */
  public void scatter(CudaStream stream, long table, long indices, long values, int count) {
    if (count == 0) {
      return;
    }
    scatterArguments
        .setAddress("table", table)
        .setAddress("indices", indices)
        .setAddress("values", values)
        .set("count", count);
    int threads = scatterKernel.signature().threads();
    Grid grid = Grid.of((count + threads - 1) / threads);
    scatterKernel.launch(stream, grid, 0, scatterArguments);
  }
}
