package dev.bulkgen.spark.storage;

import dev.bulkgen.spark.storage.Faults.Act;
import dev.bulkgen.spark.storage.Faults.Effect;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Abortable;
import org.apache.hadoop.fs.CommonPathCapabilities;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/** The local file system, with {@link Faults}. */
public class FaultyFileSystem extends RawLocalFileSystem {
  private URI uri;
  private Faults faults;

  /** What an act does in its course, such as making a file's folder, is no act of its own. */
  private final ThreadLocal<Boolean> inside = ThreadLocal.withInitial(() -> false);

  @Override
  public void initialize(URI name, Configuration configuration) throws IOException {
    super.initialize(name, configuration);
    uri = URI.create(name.getScheme() + "://" + name.getAuthority());
    faults = Faults.named(name.getAuthority());
  }

  @Override
  public URI getUri() {
    return uri == null ? super.getUri() : uri;
  }

  @Override
  public String getScheme() {
    return "faulty";
  }

  private interface Work<T> {
    T run() throws IOException;
  }

  private <T> T act(Act act, Path path, T claimed, Work<T> work) throws IOException {
    if (inside.get()) {
      return work.run();
    }
    Effect effect = faults.before(act, path.getName());
    if (effect == Effect.NO_SPACE) {
      throw new IOException("No space left on device");
    }
    if (effect == Effect.FAIL) {
      throw new IOException("injected: " + act + " " + path.getName());
    }
    T result = effect == Effect.CLAIM ? claimed : inside(work);
    faults.after();
    if (effect == Effect.DONE_BUT_FAIL) {
      throw new IOException("injected after it was done: " + act + " " + path.getName());
    }
    return result;
  }

  private <T> T inside(Work<T> work) throws IOException {
    inside.set(true);
    try {
      return work.run();
    } finally {
      inside.set(false);
    }
  }

  @Override
  public FSDataOutputStream create(
      Path path,
      FsPermission permission,
      boolean overwrite,
      int bufferSize,
      short replication,
      long blockSize,
      Progressable progress)
      throws IOException {
    return act(
        Act.CREATE, path, null, () -> open(path, overwrite, bufferSize, replication, blockSize));
  }

  FSDataOutputStream open(
      Path path, boolean overwrite, int bufferSize, short replication, long blockSize)
      throws IOException {
    FSDataOutputStream out =
        super.create(path, null, overwrite, bufferSize, replication, blockSize, null);
    return new FSDataOutputStream(new FaultyStream(path, path, out), null);
  }

  @Override
  public boolean rename(Path from, Path to) throws IOException {
    return act(Act.RENAME, to, true, () -> super.rename(from, to));
  }

  @Override
  public boolean delete(Path path, boolean recursive) throws IOException {
    return act(Act.DELETE, path, true, () -> super.delete(path, recursive));
  }

  @Override
  public boolean mkdirs(Path path) throws IOException {
    return act(Act.MAKE_FOLDER, path, true, () -> super.mkdirs(path));
  }

  @Override
  public FSDataInputStream open(Path path, int bufferSize) throws IOException {
    faults.live();
    return super.open(path, bufferSize);
  }

  @Override
  public FileStatus getFileStatus(Path path) throws IOException {
    faults.live();
    return super.getFileStatus(path);
  }

  @Override
  public FileStatus[] listStatus(Path path) throws IOException {
    faults.live();
    return super.listStatus(path);
  }

  /** Appears when it is closed, whole; a rename is refused, as nothing may ask for one. */
  public static final class Store extends FaultyFileSystem {
    @Override
    public String getScheme() {
      return "faultystore";
    }

    @Override
    public boolean hasPathCapability(Path path, String capability) throws IOException {
      return capability.equals(CommonPathCapabilities.ABORTABLE_STREAM)
          || super.hasPathCapability(path, capability);
    }

    @Override
    FSDataOutputStream open(
        Path path, boolean overwrite, int bufferSize, short replication, long blockSize)
        throws IOException {
      if (!overwrite && exists(path)) {
        throw new FileAlreadyExistsException(path.toString());
      }
      Path hidden = new Path(path.getParent(), ".put-" + UUID.randomUUID());
      FSDataOutputStream out = super.inner(hidden, bufferSize, replication, blockSize);
      return new FSDataOutputStream(super.stream(path, hidden, out), null);
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
      throw new IOException("a rename on an object store, of " + from);
    }

    @Override
    public FileStatus[] listStatus(Path path) throws IOException {
      return java.util.Arrays.stream(super.listStatus(path))
          .filter(entry -> !entry.getPath().getName().startsWith(".put-"))
          .toArray(FileStatus[]::new);
    }
  }

  private FSDataOutputStream inner(Path path, int bufferSize, short replication, long blockSize)
      throws IOException {
    return super.create(path, null, true, bufferSize, replication, blockSize, null);
  }

  private OutputStream stream(Path path, Path written, FSDataOutputStream out) {
    return new FaultyStream(path, written, out);
  }

  /** Writes to one path, and at its end gives the file another where the two differ. */
  private final class FaultyStream extends OutputStream implements Abortable {
    private final Path path;
    private final Path written;
    private final FSDataOutputStream out;
    private boolean ended;

    FaultyStream(Path path, Path written, FSDataOutputStream out) {
      this.path = path;
      this.written = written;
      this.out = out;
    }

    @Override
    public void write(int value) throws IOException {
      write(new byte[] {(byte) value}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      act(
          Act.WRITE,
          path,
          null,
          () -> {
            out.write(bytes, offset, length);
            return null;
          });
    }

    @Override
    public void close() throws IOException {
      if (ended) {
        return;
      }
      ended = true;
      act(
          Act.CLOSE,
          path,
          null,
          () -> {
            out.close();
            if (!written.equals(path) && !pathToFile(written).renameTo(pathToFile(path))) {
              throw new IOException("cannot put " + path);
            }
            return null;
          });
    }

    @Override
    public AbortableResult abort() {
      boolean before = ended;
      ended = true;
      pathToFile(written).delete();
      return new AbortableResult() {
        @Override
        public boolean alreadyClosed() {
          return before;
        }

        @Override
        public IOException anyCleanupException() {
          return null;
        }
      };
    }
  }
}
