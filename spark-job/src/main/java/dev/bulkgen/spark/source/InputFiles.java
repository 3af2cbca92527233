package dev.bulkgen.spark.source;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.Digest;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** The files under an input path: those that Spark would read, found before Spark is asked. */
final class InputFiles {
  private static final Map<String, String> FORMATS =
      Map.ofEntries(
          Map.entry("jsonl", "jsonl"),
          Map.entry("ndjson", "jsonl"),
          Map.entry("json", "jsonl"),
          Map.entry("parquet", "parquet"),
          Map.entry("arrow", "arrow"),
          Map.entry("arrows", "arrow"),
          Map.entry("feather", "arrow"),
          Map.entry("ipc", "arrow"),
          Map.entry("csv", "csv"),
          Map.entry("txt", "text"),
          Map.entry("text", "text"));
  private static final Set<String> COMPRESSIONS = Set.of("gz", "bz2", "zst", "lz4", "snappy");

  private static final Pattern PATTERN = Pattern.compile("[\\[\\]{}*?\\\\]");

  private final String path;
  private final SortedMap<String, FileStatus> files;

  /**
   * @param files by their path below the input; a file that is the input by its name
   */
  private InputFiles(String path, SortedMap<String, FileStatus> files) {
    this.path = path;
    this.files = files;
  }

  /**
   * @throws BulkgenException INPUT_NOT_FOUND, INPUT_INVALID if there is no file with a byte in it
   */
  static InputFiles find(String path, Configuration configuration) {
    Path root = new Path(path);
    SortedMap<String, FileStatus> files = new TreeMap<>();
    try {
      FileSystem system = root.getFileSystem(configuration);
      FileStatus entry = system.getFileStatus(root);
      add(system, entry, entry.isFile() ? entry.getPath().getName() : "", files);
    } catch (FileNotFoundException e) {
      throw BulkgenException.of(ErrorCode.INPUT_NOT_FOUND, "input %s is not there", path);
    } catch (IOException | IllegalArgumentException e) {
      throw new BulkgenException(
          ErrorCode.INPUT_NOT_FOUND, "input " + path + " cannot be read: " + e.getMessage(), e);
    }
    if (files.values().stream().allMatch(file -> file.getLen() == 0)) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID, "input %s holds no rows (%d files)", path, files.size());
    }
    return new InputFiles(path, files);
  }

  /**
   * Results among the files of an input would be taken for prompts by the next run.
   *
   * @throws BulkgenException SETTING_INVALID if the output is the input, or a folder in it that
   *     {@link #find} looks into
   */
  static void refuseOutputInside(String input, String output, Configuration configuration) {
    Path root;
    Path folder;
    try {
      root = qualified(input, configuration);
      folder = qualified(output, configuration);
    } catch (IOException | IllegalArgumentException e) {
      // Whoever opens them says what is wrong.
      return;
    }
    String where = folder.equals(root) ? "is its input" : "lies in its input " + root;
    for (; folder != null; folder = folder.getParent()) {
      if (folder.equals(root)) {
        throw BulkgenException.of(
            ErrorCode.SETTING_INVALID, "output %s %s: name another folder", output, where);
      }
      if (isHidden(folder.getName())) {
        return;
      }
    }
  }

  private static Path qualified(String path, Configuration configuration) throws IOException {
    Path named = new Path(path);
    return named.getFileSystem(configuration).makeQualified(named);
  }

  private static boolean isHidden(String name) {
    return name.startsWith(".") || (name.startsWith("_") && !name.contains("="));
  }

  private static void add(
      FileSystem system, FileStatus entry, String below, SortedMap<String, FileStatus> files)
      throws IOException {
    if (entry.isFile()) {
      files.put(below, entry);
      return;
    }
    for (FileStatus child : system.listStatus(entry.getPath())) {
      String name = child.getPath().getName();
      if (!isHidden(name)) {
        add(system, child, below.isEmpty() ? name : below + "/" + name, files);
      }
    }
  }

  /**
   * The format by extension.
   *
   * @throws BulkgenException INPUT_INVALID if the files disagree or say nothing
   */
  String format() {
    Set<String> formats = new TreeSet<>();
    for (FileStatus file : files.values()) {
      String format = FORMATS.get(extension(file.getPath().getName()));
      if (format == null) {
        throw BulkgenException.of(
            ErrorCode.INPUT_INVALID,
            "the extension of %s tells no format: give --input-format jsonl, parquet, arrow, csv, text"
                + " or openai-batch",
            file.getPath());
      }
      formats.add(format);
    }
    if (formats.size() > 1) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID,
          "input %s mixes %s files: name one of them, or give --input-format",
          path,
          String.join(" and ", formats));
    }
    return formats.iterator().next();
  }

  private static String extension(String name) {
    String[] parts = name.toLowerCase(Locale.ROOT).split("\\.");
    int last = parts.length - 1;
    return last > 1 && COMPRESSIONS.contains(parts[last]) ? parts[last - 1] : parts[last];
  }

  /** Whether Hadoop could take one of the paths for a pattern. */
  boolean havePatterns() {
    return files.values().stream()
        .anyMatch(file -> PATTERN.matcher(file.getPath().toString()).find());
  }

  /** Folders below the input count, since they may be partitions; where it lies does not. */
  String digest() {
    Digest digest = Digest.sha256();
    files.forEach(
        (below, file) -> digest.add(below).add(file.getLen()).add(file.getModificationTime()));
    return digest.hex();
  }
}
