package dev.bulkgen.backend.cuda;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;

/**
 * Lets JCuda unpack its libraries where only this process can write.
 *
 * <p>JCuda writes them to {@code java.io.tmpdir} under fixed names and loads what it finds there: a
 * half-written copy of a process that starts at the same time, or a file that somebody else left in
 * a folder that all may write to. It asks for the property each time, so the property points to a
 * folder of our own while a library loads.
 */
final class PrivateLibraryFolder {
  private static final String PROPERTY = "java.io.tmpdir";

  private PrivateLibraryFolder() {}

  static synchronized <T> T during(Callable<T> load) throws Exception {
    Path folder = Files.createTempDirectory("bulkgen-native");
    String before = System.setProperty(PROPERTY, folder.toString());
    try {
      return load.call();
    } finally {
      System.setProperty(PROPERTY, before);
      remove(folder);
    }
  }

  // The mappings outlive the names; a process that is killed later leaves nothing behind.
  private static void remove(Path folder) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
      for (Path file : files) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
  }
}
