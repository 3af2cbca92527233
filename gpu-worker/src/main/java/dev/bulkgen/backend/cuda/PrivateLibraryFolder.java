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
 *
 * <p>The property is the whole process's: another library that unpacks at the same moment, as the
 * compression of a Spark task does, goes to that folder too. So the folder stays until the process
 * ends, and only what JCuda wrote is taken away.
 */
final class PrivateLibraryFolder {
  private static final String PROPERTY = "java.io.tmpdir";

  // In all names of JCuda's libraries, those of cuBLAS's binding too.
  private static final String NAME = "JCu";

  private PrivateLibraryFolder() {}

  static synchronized <T> T during(Callable<T> load) throws Exception {
    Path folder = Files.createTempDirectory("bulkgen-native");
    String before = System.setProperty(PROPERTY, folder.toString());
    folder.toFile().deleteOnExit();
    try {
      return load.call();
    } finally {
      System.setProperty(PROPERTY, before);
      removeOurs(folder);
    }
  }

  // The mappings outlive the names; a process that is killed later leaves no library behind.
  private static void removeOurs(Path folder) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*" + NAME + "*")) {
      for (Path file : files) {
        Files.delete(file);
      }
    }
  }
}
