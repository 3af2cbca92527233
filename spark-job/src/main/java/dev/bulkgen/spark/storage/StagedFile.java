package dev.bulkgen.spark.storage;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.util.UUID;
import java.util.zip.CRC32C;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.StreamCapabilities;

/**
 * A file on its way to its name, under which it appears whole or not at all.
 *
 * <p>Called by one attempt of a task: {@link #create}, bytes, {@link #commit}, or {@link #discard}.
 * On a file system with a rename that costs nothing the bytes go into a temporary file beside the
 * target, which is then renamed; on an object store (one whose streams can be given up) they go
 * into one put under the final name, as a rename there is a copy.
 *
 * <p>Every attempt writes the same bytes (P1), so attempts need no referee: who finds the target
 * there compares. Deleting temporary files is best effort; {@link #isTemporary} finds what dead
 * attempts left.
 */
public final class StagedFile {
  private static final String PREFIX = "_temporary-";
  private static final int BUFFER = 1 << 20;

  private final Storage storage;
  private final Path target;

  /** What is written to; the target itself on an object store. */
  private final Path written;

  private final CRC32C crc = new CRC32C();
  private FSDataOutputStream out;
  private long length;
  private boolean settled;

  /**
   * @param name below {@code folder}, where the temporary file lies too
   * @param attempt stands in the temporary name, for people; two attempts never share a file
   */
  public StagedFile(Storage storage, Path folder, String name, String attempt) {
    this.storage = storage;
    this.target = new Path(folder, name);
    // Attempts of two applications may have one number, and a dead driver's may still be writing.
    String own = PREFIX + attempt + "-" + UUID.randomUUID().toString().substring(0, 8) + "-";
    this.written =
        storage.putsWhole(target) ? target : new Path(folder, own + name.replace('/', '-'));
  }

  /** Whether a name is that of a file on its way, or of what a dead attempt left of one. */
  public static boolean isTemporary(String name) {
    return name.startsWith(PREFIX);
  }

  /**
   * Takes the bytes. Closing it does not end the file: {@link #commit} or {@link #discard} does.
   */
  public FSDataOutputStream create() throws IOException {
    out = storage.create(written);
    return new FSDataOutputStream(new Counted(), null);
  }

  /**
   * Ends the file and gives it its name.
   *
   * @throws BulkgenException STORAGE_FAILED if it is not there, if another file is, or if nothing
   *     tells which
   */
  public void commit() {
    if (publish() == CommitOutcome.UNKNOWN) {
      throw BulkgenException.of(
          ErrorCode.STORAGE_FAILED,
          "the storage does not tell whether %s was written; another attempt will look",
          target);
    }
  }

  CommitOutcome publish() {
    try {
      if (out.hasCapability(StreamCapabilities.HSYNC)) {
        // A machine that loses power must not keep the name and lose the bytes.
        out.hsync();
      }
      if (written.equals(target)) {
        return put();
      }
      out.close();
    } catch (IOException e) {
      throw failure(e);
    }
    CommitOutcome outcome = rename();
    if (outcome == CommitOutcome.ALREADY_COMMITTED) {
      discard();
    }
    return outcome;
  }

  private CommitOutcome put() {
    settled = true;
    try {
      out.close();
      return CommitOutcome.COMMITTED;
    } catch (IOException e) {
      return look(e);
    }
  }

  private CommitOutcome rename() {
    FileSystem files = storage.fileSystem();
    IOException problem = new IOException("the rename was refused");
    try {
      if (!target.getParent().equals(written.getParent())) {
        files.mkdirs(target.getParent());
      }
      if (!there(target) && files.rename(written, target) && there(target)) {
        settled = true;
        return CommitOutcome.COMMITTED;
      }
    } catch (IOException e) {
      problem = e;
    }
    return look(problem);
  }

  /** Decides by what is under the name, whatever the storage said. */
  private CommitOutcome look(IOException problem) {
    try {
      boolean waiting = !written.equals(target) && there(written);
      if (!there(target)) {
        throw Storage.failure("give its name to", target, problem);
      }
      if (!isWhatWasWritten()) {
        throw BulkgenException.of(
            ErrorCode.STORAGE_FAILED,
            "%s is there with other bytes than this run writes: move it away and run again",
            target);
      }
      settled = !waiting;
      return waiting ? CommitOutcome.ALREADY_COMMITTED : CommitOutcome.COMMITTED;
    } catch (IOException e) {
      settled = true;
      return CommitOutcome.UNKNOWN;
    }
  }

  private boolean there(Path path) throws IOException {
    try {
      return storage.fileSystem().getFileStatus(path).isFile();
    } catch (FileNotFoundException e) {
      return false;
    }
  }

  private boolean isWhatWasWritten() throws IOException {
    if (storage.fileSystem().getFileStatus(target).getLen() != length) {
      return false;
    }
    CRC32C found = new CRC32C();
    byte[] buffer = new byte[BUFFER];
    try (FSDataInputStream in = storage.fileSystem().open(target)) {
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        found.update(buffer, 0, read);
      }
    }
    return found.getValue() == crc.getValue();
  }

  /** Without a commit before, nothing stays behind. */
  public void discard() {
    if (settled || out == null) {
      return;
    }
    settled = true;
    try {
      if (written.equals(target)) {
        out.abort();
      } else {
        out.close();
      }
    } catch (IOException | RuntimeException e) {
      // What went wrong first is on its way to the caller.
    }
    if (!written.equals(target)) {
      storage.deleteQuietly(written);
    }
  }

  /** For an error while the file is written. */
  public BulkgenException failure(IOException e) {
    return Storage.failure("write", written, e);
  }

  private final class Counted extends OutputStream {
    @Override
    public void write(int value) throws IOException {
      out.write(value);
      crc.update(value);
      length++;
    }

    @Override
    public void write(byte[] bytes, int offset, int count) throws IOException {
      out.write(bytes, offset, count);
      crc.update(bytes, offset, count);
      length += count;
    }

    @Override
    public void flush() throws IOException {
      out.flush();
    }

    @Override
    public void close() throws IOException {
      out.flush();
    }
  }
}
