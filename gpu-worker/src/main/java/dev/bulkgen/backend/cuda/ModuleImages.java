package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Where the compiled kernels are, for the driver that is loaded. */
interface ModuleImages {

  /** For messages. */
  String description();

  /** The bytes of a file; empty if it was not built. */
  Optional<byte[]> file(String name);

  /** Ending of a family's file. */
  String suffix();

  default Optional<byte[]> image(String family) {
    return file(family + suffix());
  }

  /** The images that belong to the driver of this process. */
  static ModuleImages ofDriver() {
    return EmulatedDriver.folder().map(ModuleImages::ofFolder).orElseGet(ModuleImages::ofJar);
  }

  /** Fat binaries for cards, beside the catalogue in the kernels jar. */
  static ModuleImages ofJar() {
    return new ModuleImages() {
      @Override
      public String description() {
        return "the kernels jar";
      }

      @Override
      public Optional<byte[]> file(String name) {
        try (InputStream in = Catalogue.class.getResourceAsStream(name)) {
          return in == null ? Optional.empty() : Optional.of(in.readAllBytes());
        } catch (IOException e) {
          throw unreadable(name, description(), e);
        }
      }

      @Override
      public String suffix() {
        return ".fatbin";
      }
    };
  }

  /** Libraries of the emulated device. */
  static ModuleImages ofFolder(Path folder) {
    return new ModuleImages() {
      @Override
      public String description() {
        return folder.toString();
      }

      @Override
      public Optional<byte[]> file(String name) {
        Path file = folder.resolve(name);
        try {
          return Files.exists(file) ? Optional.of(Files.readAllBytes(file)) : Optional.empty();
        } catch (IOException e) {
          throw unreadable(name, description(), e);
        }
      }

      @Override
      public String suffix() {
        return ".so";
      }
    };
  }

  private static BulkgenException unreadable(String name, String where, IOException cause) {
    return new BulkgenException(
        ErrorCode.DEVICE_UNAVAILABLE, name + " in " + where + " cannot be read: " + cause, cause);
  }
}
