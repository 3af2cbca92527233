package dev.bulkgen.spark.storage;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.Closeable;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CommonPathCapabilities;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;

/**
 * The file system under a path. A local one is used raw: Hadoop's checksum files beside each file
 * would only litter a folder that people look into.
 */
public final class Storage {
  private static final int BUFFER = 1 << 16;

  private final FileSystem files;
  private final Configuration configuration;

  private Storage(FileSystem files, Configuration configuration) {
    this.files = files;
    this.configuration = configuration;
  }

  /**
   * @throws BulkgenException STORAGE_FAILED if no file system answers for the path
   */
  public static Storage of(Path path, Configuration configuration) {
    try {
      FileSystem files = path.getFileSystem(configuration);
      boolean local = files instanceof LocalFileSystem;
      return new Storage(
          local ? ((LocalFileSystem) files).getRawFileSystem() : files, configuration);
    } catch (IOException | IllegalArgumentException e) {
      throw failure("open the file system of", path, e);
    }
  }

  public Configuration configuration() {
    return configuration;
  }

  FileSystem fileSystem() {
    return files;
  }

  public boolean exists(Path path) {
    return status(path).isPresent();
  }

  public Optional<FileStatus> status(Path path) {
    try {
      return Optional.of(files.getFileStatus(path));
    } catch (FileNotFoundException e) {
      return Optional.empty();
    } catch (IOException e) {
      throw failure("look at", path, e);
    }
  }

  /** Entries of a folder by name; none if it is not there. */
  public List<FileStatus> list(Path folder) {
    try {
      List<FileStatus> entries = new ArrayList<>(Arrays.asList(files.listStatus(folder)));
      entries.sort(Comparator.comparing(entry -> entry.getPath().getName()));
      return entries;
    } catch (FileNotFoundException e) {
      return List.of();
    } catch (IOException e) {
      throw failure("list", folder, e);
    }
  }

  public void makeFolder(Path folder) {
    try {
      if (!files.mkdirs(folder)) {
        throw BulkgenException.of(
            ErrorCode.OUTPUT_NOT_WRITABLE, "cannot make the folder %s", folder);
      }
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.OUTPUT_NOT_WRITABLE, "cannot make the folder " + folder + ": " + reason(e), e);
    }
  }

  /** Deletes a file or a whole folder; nothing there is fine. */
  public void delete(Path path) {
    try {
      files.delete(path, true);
    } catch (IOException e) {
      throw failure("delete", path, e);
    }
  }

  /** Deletes a folder if nothing is in it. */
  public void deleteEmpty(Path folder) {
    try {
      if (list(folder).isEmpty()) {
        files.delete(folder, false);
      }
    } catch (IOException e) {
      // Someone has put a file there since.
    }
  }

  /** For what a later sweep would find too. */
  void deleteQuietly(Path path) {
    try {
      files.delete(path, true);
    } catch (IOException e) {
      // The sweep finds it.
    }
  }

  public String readText(Path file) {
    return find(file)
        .orElseThrow(() -> failure("read", file, new FileNotFoundException("it is not there")));
  }

  /** The text of a small file; empty if it is not there. */
  public Optional<String> find(Path file) {
    try (FSDataInputStream in = files.open(file)) {
      return Optional.of(new String(in.readAllBytes(), StandardCharsets.UTF_8));
    } catch (FileNotFoundException e) {
      return Optional.empty();
    } catch (IOException e) {
      throw failure("read", file, e);
    }
  }

  /**
   * Whether what is written to a path appears when its stream is closed, whole, and not at all when
   * the stream is given up: an object store, where a rename would be a copy.
   */
  public boolean putsWhole(Path path) {
    return can(path, CommonPathCapabilities.ABORTABLE_STREAM);
  }

  private boolean can(Path path, String capability) {
    try {
      return files.hasPathCapability(path, capability);
    } catch (IOException e) {
      throw failure("ask about", path, e);
    }
  }

  /**
   * Writes a small file that was not there. False if it was: someone else came first. Object stores
   * that cannot refuse a put on a taken name may answer true to two that come at once: who has to
   * be alone reads again, after a while.
   *
   * @param text tells its writer from others
   */
  public boolean createExclusively(Path file, String text) {
    try {
      if (exists(file)) {
        return false;
      }
      if (files.getUri().getScheme().equals("file")) {
        // Hadoop's own local file system looks first and then writes.
        Files.writeString(
            java.nio.file.Path.of(file.toUri().getPath()), text, StandardOpenOption.CREATE_NEW);
        return true;
      }
      try (OutputStream out = exclusive(file)) {
        out.write(text.getBytes(StandardCharsets.UTF_8));
      }
      return true;
    } catch (IOException e) {
      if (exists(file)) {
        // It may have failed after it was done.
        return readText(file).equals(text);
      }
      throw failure("write", file, e);
    }
  }

  private OutputStream exclusive(Path file) throws IOException {
    String conditional = "fs.option.create.conditional.overwrite";
    if (can(file, conditional)) {
      FSDataOutputStreamBuilder<?, ?> builder = files.createFile(file);
      builder.overwrite(true);
      builder.must(conditional, true);
      return builder.build();
    }
    return files.create(file, false);
  }

  /** Opens a file for writing, in place of one that is there. */
  FSDataOutputStream create(Path file) throws IOException {
    if (files instanceof RawLocalFileSystem) {
      // Given a permission, Hadoop starts a chmod for each file; without one the umask holds.
      return files.create(file, null, true, BUFFER, (short) 1, BUFFER, null);
    }
    return files.create(file, true);
  }

  /** Writes a small file in one go: readers see all of it or the old one. */
  public void replaceText(Path file, String text) {
    boolean whole = putsWhole(file);
    Path written = whole ? file : new Path(file.getParent(), "_temporary-" + file.getName());
    try (FSDataOutputStream out = create(written)) {
      out.write(text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw failure("write", written, e);
    }
    if (!whole) {
      moveOver(written, file);
    }
  }

  private void moveOver(Path from, Path to) {
    try {
      if (files.rename(from, to)) {
        return;
      }
      // HDFS replaces a file only when it is told to, and only this interface can tell it.
      FileContext.getFileContext(files.getUri(), configuration)
          .rename(from, to, Options.Rename.OVERWRITE);
    } catch (IOException e) {
      throw failure("rename " + from.getName() + " to", to, e);
    }
  }

  /** Moves a file out of the way, whatever it is; a free name is found in the folder. */
  public Path setAside(Path file, Path folder) {
    makeFolder(folder);
    Path aside = new Path(folder, file.getName());
    for (int copy = 2; exists(aside); copy++) {
      aside = new Path(folder, copy + "-" + file.getName());
    }
    try {
      if (!files.rename(file, aside)) {
        throw new IOException("the rename was refused");
      }
      return aside;
    } catch (IOException e) {
      throw failure("set aside", file, e);
    }
  }

  /** For a stream that is given up: what went wrong before is on its way to the caller. */
  public static void closeQuietly(Closeable stream) {
    try (stream) {
      // Nothing else is left to do.
    } catch (IOException e) {
      // The first error counts.
    }
  }

  static BulkgenException failure(String act, Path path, Exception e) {
    return new BulkgenException(
        ErrorCode.STORAGE_FAILED, "cannot " + act + " " + path + ": " + reason(e), e);
  }

  private static String reason(Exception e) {
    return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
  }
}
