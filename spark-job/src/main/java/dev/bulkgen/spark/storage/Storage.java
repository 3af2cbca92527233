package dev.bulkgen.spark.storage;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The file system under a path. A local one is used raw: Hadoop's checksum files beside each file
 * would only litter a folder that people look into.
 */
public final class Storage {
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

  public String readText(Path file) {
    try (FSDataInputStream in = files.open(file)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw failure("read", file, e);
    }
  }

  /** Writes a file that was not there. False if it was: someone else came first. */
  public boolean createExclusively(Path file, String text) {
    try (OutputStream out = files.create(file, false)) {
      out.write(text.getBytes(StandardCharsets.UTF_8));
      return true;
    } catch (IOException e) {
      if (exists(file)) {
        return false;
      }
      throw failure("write", file, e);
    }
  }

  /** Writes under a temporary name and renames, so that readers see all of it or the old one. */
  public void replaceText(Path file, String text) {
    Path temporary = new Path(file.getParent(), "_temporary-" + file.getName());
    try (OutputStream out = create(temporary)) {
      out.write(text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw failure("write", temporary, e);
    }
    moveOver(temporary, file);
  }

  FSDataOutputStream create(Path file) throws IOException {
    return files.create(file, true);
  }

  /** Renames, replacing what is there. */
  public void moveOver(Path from, Path to) {
    try {
      if (files.rename(from, to)) {
        return;
      }
      // File systems other than POSIX ones refuse where the target exists.
      files.delete(to, false);
      if (!files.rename(from, to)) {
        throw new IOException("rename refused");
      }
    } catch (IOException e) {
      throw failure("rename " + from.getName() + " to", to, e);
    }
  }

  private static BulkgenException failure(String act, Path path, Exception e) {
    return new BulkgenException(
        ErrorCode.STORAGE_FAILED, "cannot " + act + " " + path + ": " + reason(e), e);
  }

  private static String reason(Exception e) {
    return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
  }
}
