package dev.bulkgen.tensor;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Objects;

/**
 * A file mapped read-only and read by absolute byte offset, little-endian, at any alignment. One
 * mapping is limited to 2 GiB, so the file is mapped in pieces; a run may cross them.
 *
 * <p>Reads allocate nothing and move no buffer position, so any number of threads may read at once.
 * The mapping goes when the object is collected. The file must not shrink while it is mapped: the
 * operating system then faults the read.
 */
public final class MappedFile {
  private static final long PIECE_BYTES = 1L << 30;

  private final Path path;
  private final long size;
  private final int pieceShift;
  private final long pieceMask;
  private final ByteBuffer[] bytes;

  // A view of a piece for every remainder an offset can leave, so that an unaligned run is copied
  // in bulk too: shorts[2 * piece + remainder], floats[4 * piece + remainder].
  private final ShortBuffer[] shorts;
  private final FloatBuffer[] floats;

  private MappedFile(Path path, long size, int pieceShift, ByteBuffer[] bytes) {
    this.path = path;
    this.size = size;
    this.pieceShift = pieceShift;
    this.pieceMask = (1L << pieceShift) - 1;
    this.bytes = bytes;
    this.shorts = new ShortBuffer[bytes.length * Short.BYTES];
    this.floats = new FloatBuffer[bytes.length * Float.BYTES];
    for (int piece = 0; piece < bytes.length; piece++) {
      for (int r = 0; r < Short.BYTES; r++) {
        shorts[piece * Short.BYTES + r] = from(bytes[piece], r).asShortBuffer();
      }
      for (int r = 0; r < Float.BYTES; r++) {
        floats[piece * Float.BYTES + r] = from(bytes[piece], r).asFloatBuffer();
      }
    }
  }

  /**
   * Maps a file.
   *
   * @throws BulkgenException STORAGE_FAILED if it cannot be read or mapped
   */
  public static MappedFile open(Path path) {
    return open(path, PIECE_BYTES);
  }

  /** Maps with pieces of {@code pieceBytes}, a power of two of at least 8. */
  static MappedFile open(Path path, long pieceBytes) {
    if (Long.bitCount(pieceBytes) != 1 || pieceBytes < 8 || pieceBytes > PIECE_BYTES) {
      throw new IllegalArgumentException("piece of " + pieceBytes + " bytes");
    }
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = Files.size(path);
      ByteBuffer[] pieces = new ByteBuffer[Math.toIntExact((size + pieceBytes - 1) / pieceBytes)];
      for (int i = 0; i < pieces.length; i++) {
        long start = i * pieceBytes;
        pieces[i] =
            channel
                .map(FileChannel.MapMode.READ_ONLY, start, Math.min(pieceBytes, size - start))
                .order(ByteOrder.LITTLE_ENDIAN);
      }
      return new MappedFile(path, size, Long.numberOfTrailingZeros(pieceBytes), pieces);
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.STORAGE_FAILED,
          path + ": cannot be mapped (" + e + "); check that it is a readable file",
          e);
    }
  }

  public Path path() {
    return path;
  }

  /** Bytes in the file. */
  public long size() {
    return size;
  }

  public byte readByte(long offset) {
    checkRun(offset, 1, Byte.BYTES);
    return bytes[(int) (offset >>> pieceShift)].get((int) (offset & pieceMask));
  }

  /**
   * Copies {@code count} bytes from byte {@code offset} on to {@code target[start…]}.
   *
   * @throws IndexOutOfBoundsException if the run leaves the file or the array; so for all reads
   */
  public void readBytes(long offset, byte[] target, int start, int count) {
    checkRun(offset, count, Byte.BYTES);
    Objects.checkFromIndexSize(start, count, target.length);
    while (count > 0) {
      ByteBuffer piece = bytes[(int) (offset >>> pieceShift)];
      int within = (int) (offset & pieceMask);
      int run = Math.min(count, piece.capacity() - within);
      piece.get(within, target, start, run);
      offset += run;
      start += run;
      count -= run;
    }
  }

  /** Copies {@code count} 16-bit values from byte {@code offset} on. */
  public void readShorts(long offset, short[] target, int start, int count) {
    checkRun(offset, count, Short.BYTES);
    Objects.checkFromIndexSize(start, count, target.length);
    while (count > 0) {
      int piece = (int) (offset >>> pieceShift);
      int within = (int) (offset & pieceMask);
      int run = Math.min(count, (bytes[piece].capacity() - within) / Short.BYTES);
      if (run == 0) {
        target[start] = (short) acrossPieces(offset, Short.BYTES);
        run = 1;
      } else {
        int remainder = within % Short.BYTES;
        shorts[piece * Short.BYTES + remainder].get(within / Short.BYTES, target, start, run);
      }
      offset += (long) run * Short.BYTES;
      start += run;
      count -= run;
    }
  }

  /** Copies {@code count} floats from byte {@code offset} on. */
  public void readFloats(long offset, float[] target, int start, int count) {
    checkRun(offset, count, Float.BYTES);
    Objects.checkFromIndexSize(start, count, target.length);
    while (count > 0) {
      int piece = (int) (offset >>> pieceShift);
      int within = (int) (offset & pieceMask);
      int run = Math.min(count, (bytes[piece].capacity() - within) / Float.BYTES);
      if (run == 0) {
        target[start] = Float.intBitsToFloat((int) acrossPieces(offset, Float.BYTES));
        run = 1;
      } else {
        int remainder = within % Float.BYTES;
        floats[piece * Float.BYTES + remainder].get(within / Float.BYTES, target, start, run);
      }
      offset += (long) run * Float.BYTES;
      start += run;
      count -= run;
    }
  }

  /** Copies {@code count} 32-bit integers from byte {@code offset} on. */
  public void readInts(long offset, int[] target, int start, int count) {
    checkRun(offset, count, Integer.BYTES);
    Objects.checkFromIndexSize(start, count, target.length);
    for (int i = 0; i < count; i++) {
      target[start + i] = (int) readLittleEndian(offset + (long) i * Integer.BYTES, Integer.BYTES);
    }
  }

  /** The 64-bit integer at byte {@code offset}. */
  public long readLong(long offset) {
    checkRun(offset, 1, Long.BYTES);
    return readLittleEndian(offset, Long.BYTES);
  }

  private long readLittleEndian(long offset, int width) {
    ByteBuffer piece = bytes[(int) (offset >>> pieceShift)];
    int within = (int) (offset & pieceMask);
    if (piece.capacity() - within < width) {
      return acrossPieces(offset, width);
    }
    return width == Long.BYTES ? piece.getLong(within) : piece.getInt(within);
  }

  private long acrossPieces(long offset, int width) {
    long value = 0;
    for (int i = 0; i < width; i++) {
      value |= (readByte(offset + i) & 0xffL) << (8 * i);
    }
    return value;
  }

  private void checkRun(long offset, int count, int width) {
    // Divided, not multiplied: count * width could not be trusted to stay positive otherwise.
    if (offset < 0 || count < 0 || offset > size || count > (size - offset) / width) {
      throw new IndexOutOfBoundsException(
          path + ": " + count + " x " + width + " bytes at " + offset + " of " + size);
    }
  }

  private static ByteBuffer from(ByteBuffer piece, int start) {
    int first = Math.min(start, piece.capacity());
    return piece.slice(first, piece.capacity() - first).order(ByteOrder.LITTLE_ENDIAN);
  }
}
