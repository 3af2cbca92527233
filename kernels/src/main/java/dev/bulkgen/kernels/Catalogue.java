package dev.bulkgen.kernels;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * All kernels and their argument structs, read from the header that the kernels themselves are
 * compiled with, so that C++ and Java cannot come to differ.
 */
public final class Catalogue {
  private static final String HEADER = "arguments.h";

  private final Map<String, StructLayout> structs;
  private final Map<String, KernelSignature> kernels;
  private final String hash;

  private Catalogue(CatalogueParser parser, String hash) {
    this.structs = Collections.unmodifiableMap(new LinkedHashMap<>(parser.structs()));
    this.kernels = Collections.unmodifiableMap(new LinkedHashMap<>(parser.kernels()));
    this.hash = hash;
  }

  /**
   * The catalogue of this jar.
   *
   * @throws IllegalStateException if the jar was built without its header
   * @throws IllegalArgumentException if the header leaves its grammar
   */
  public static Catalogue load() {
    try (InputStream in = Catalogue.class.getResourceAsStream("cuda/" + HEADER)) {
      if (in == null) {
        throw new IllegalStateException(
            "the kernels jar holds no cuda/" + HEADER + ": build it again");
      }
      return parse(HEADER, in.readAllBytes());
    } catch (IOException e) {
      throw new UncheckedIOException(HEADER + " of the kernels jar cannot be read", e);
    }
  }

  /**
   * Reads a header.
   *
   * @param file its name, for messages
   * @throws IllegalArgumentException with file and line, for anything outside of the header's
   *     grammar (its first comment)
   */
  public static Catalogue parse(String file, byte[] header) {
    CatalogueParser parser = new CatalogueParser(file);
    parser.read(new String(header, StandardCharsets.UTF_8));
    return new Catalogue(parser, sha256(header));
  }

  /** Kernels by name, in the header's order. */
  public Map<String, KernelSignature> kernels() {
    return kernels;
  }

  public Optional<KernelSignature> kernel(String name) {
    return Optional.ofNullable(kernels.get(name));
  }

  /** Structs by name, in the header's order. */
  public Map<String, StructLayout> structs() {
    return structs;
  }

  public Optional<StructLayout> struct(String name) {
    return Optional.ofNullable(structs.get(name));
  }

  /** Names of the source files that hold kernels. */
  public Set<String> families() {
    Set<String> families = new LinkedHashSet<>();
    kernels.values().forEach(kernel -> families.add(kernel.family()));
    return families;
  }

  /** SHA-256 of the header, in lower-case hexadecimal: the same as of the binaries' build. */
  public String hash() {
    return hash;
  }

  private static String sha256(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }
}
