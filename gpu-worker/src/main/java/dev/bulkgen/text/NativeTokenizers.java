package dev.bulkgen.text;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;

/**
 * Loads the Rust tokenizers library out of DJL's jar, without DJL's own loader: that one asks the
 * system for graphics cards, may download, and logs.
 *
 * <p>The library is kept in {@code ~/.bulkgen/native}; where that cannot be written or executed
 * from, a private temporary folder serves this process alone. Processes may race: each writes a
 * file of its own and moves it into place at once.
 */
final class NativeTokenizers {
  private static boolean loaded;

  private NativeTokenizers() {}

  /**
   * Loads once per process.
   *
   * @throws BulkgenException TOKENIZER_INVALID where the platform has no library or it cannot load
   */
  static synchronized void load() {
    if (loaded) {
      return;
    }
    String platform = platform();
    String file = System.mapLibraryName("tokenizers");
    String resource = "native/lib/" + platform + "/cpu/" + file;
    URL url = NativeTokenizers.class.getClassLoader().getResource(resource);
    if (url == null) {
      throw BulkgenException.of(
          ErrorCode.TOKENIZER_INVALID,
          "There is no tokenizer library for %s (looked for %s on the class path). Give prompts as"
              + " token ids, which need no tokenizer.",
          platform,
          resource);
    }
    try {
      loadFrom(url, platform, file);
    } catch (IOException | UnsatisfiedLinkError e) {
      throw new BulkgenException(
          ErrorCode.TOKENIZER_INVALID,
          "The tokenizer library cannot be loaded on this machine: "
              + e.getMessage()
              + ". Make java.io.tmpdir writable and executable, or give prompts as token ids,"
              + " which need no tokenizer.",
          e);
    }
    loaded = true;
  }

  private static void loadFrom(URL url, String platform, String file) throws IOException {
    try {
      System.load(shared(url, platform, file).toString());
    } catch (IOException | UnsatisfiedLinkError e) {
      loadPrivateCopy(url, file);
    }
  }

  private static void loadPrivateCopy(URL url, String file) throws IOException {
    Path folder = Files.createTempDirectory("bulkgen-native");
    Path copy = folder.resolve(file);
    try {
      try (InputStream in = url.openStream()) {
        Files.copy(in, copy);
      }
      System.load(copy.toString());
    } finally {
      // The mapping outlives the name; a process that is killed later leaves nothing behind.
      Files.deleteIfExists(copy);
      Files.deleteIfExists(folder);
    }
  }

  private static Path shared(URL url, String platform, String file) throws IOException {
    URLConnection connection = url.openConnection();
    connection.setUseCaches(false);
    try (InputStream in = connection.getInputStream()) {
      long size = connection.getContentLengthLong();
      Path folder =
          Path.of(System.getProperty("user.home"), ".bulkgen", "native", platform + "-" + size);
      Path library = folder.resolve(file);
      if (Files.isRegularFile(library) && Files.size(library) == size) {
        return library;
      }
      Files.createDirectories(folder);
      Path fresh = Files.createTempFile(folder, file, ".part");
      try {
        Files.copy(in, fresh, StandardCopyOption.REPLACE_EXISTING);
        Files.move(fresh, library, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(fresh);
      }
      return library;
    }
  }

  private static String platform() {
    String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String machine = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
    boolean arm = machine.equals("aarch64") || machine.equals("arm64");
    String family =
        system.startsWith("mac") ? "osx" : system.startsWith("windows") ? "win" : "linux";
    return family
        + (arm
            ? "-aarch64"
            : machine.equals("amd64") || machine.equals("x86_64") ? "-x86_64" : "-" + machine);
  }
}
