package dev.bulkgen.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.kernels.FieldLayout.Type;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestCatalogue {
  private static final Path HEADER = Path.of("src/main/cuda/arguments.h");

  private static final String SMALL =
      """
      #pragma once
      // prose
      // kernel family/first: Outer, 64
      struct Inner {
        const float* x;  // [rows]
        int rows;
      };
      struct Outer {
        int before;
        Inner inner;

        // prose
        float after;
        const Inner* many;
        unsigned seed;
        long long bytes;
        unsigned short* bits;
      };
      """;

  @Test
  void testEveryKernelOfTheHeaderIsThere() throws IOException {
    Catalogue catalogue = Catalogue.load();
    String header = Files.readString(HEADER);
    long kernels = header.lines().filter(line -> line.startsWith("// kernel ")).count();
    assertTrue(kernels > 0);
    assertEquals(kernels, catalogue.kernels().size());
    assertEquals(
        header.lines().filter(line -> line.startsWith("struct ")).count(),
        catalogue.structs().size());
    KernelSignature norm = catalogue.kernel("rms_norm").orElseThrow();
    assertEquals("norm", norm.family());
    assertEquals("NormArguments", norm.arguments().name());
    assertTrue(catalogue.families().contains("norm"));
    assertTrue(catalogue.kernel("no_such_kernel").isEmpty());
  }

  @Test
  void testLayoutByHand() {
    Catalogue catalogue = parse(SMALL);
    StructLayout outer = catalogue.struct("Outer").orElseThrow();
    assertEquals(64, outer.bytes());
    assertEquals(8, outer.alignment());
    assertEquals(
        List.of("before", "inner.x", "inner.rows", "after", "many", "seed", "bytes", "bits"),
        outer.flattened().stream().map(FieldLayout::name).toList());
    assertEquals(
        List.of(0, 8, 16, 24, 32, 40, 48, 56),
        outer.flattened().stream().map(FieldLayout::offset).toList());
    assertEquals(Type.UNSIGNED, outer.flattened().get(5).type());
    KernelSignature first = catalogue.kernel("first").orElseThrow();
    assertEquals(new KernelSignature("first", "family", outer, 64), first);
  }

  @Test
  void testHashIsThatOfTheHeader() {
    assertEquals(
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        Catalogue.parse("empty.h", new byte[0]).hash());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "// kernel family/first: Outer 64     | x.h:1: not `// kernel",
        "// kernel family/First: Outer, 64    | x.h:1: not `// kernel",
        "// kernel family/second: Nobody, 64  | x.h:1: kernel second takes an unknown struct Nobody",
        "// kernel family/second: Outer, 48   | x.h:1: 48 threads",
        "// kernel family/second: Outer, 2048 | x.h:1: 2048 threads",
        "// kernel family/second: Outer, 0    | x.h:1: 0 threads",
        "#include <cstdint>                   | x.h:1: not part of the catalogue's grammar",
        "struct Empty {%};                    | x.h:2: struct Empty has no fields",
        "struct Open {%  int x;               | x.h:3: not a field",
        "struct Twice {%  int x;%  int x;%};  | x.h:3: field x stands twice in struct Twice",
        "struct Array {%  int x[4];%};        | x.h:2: not a field",
        "struct Two {%  int x, y;%};          | x.h:2: not a field",
        "struct Double {%  double x;%};       | x.h:2: field x: unknown double",
        "struct Narrow {%  unsigned short x;%}; | x.h:2: field x: unknown unsigned short",
        "struct Wide {%  int** x;%};          | x.h:2: not a field",
        "struct Later {%  Outer x;%};         | x.h:2: field x: unknown Outer",
        "struct Constant {%  const int x;%};  | x.h:2: field x is const, but no pointer",
      })
  void testRefused(String lines, String message) {
    String text = lines.replace('%', '\n') + "\n" + SMALL;
    String found = assertThrows(IllegalArgumentException.class, () -> parse(text)).getMessage();
    assertTrue(found.startsWith(message), found);
  }

  @Test
  void testRefusedTwice() {
    String struct = "struct Inner {\n  int x;\n};\n";
    assertThrows(IllegalArgumentException.class, () -> parse(SMALL + struct));
    String kernel = "// kernel other/first: Inner, 32\n";
    assertThrows(IllegalArgumentException.class, () -> parse(SMALL + kernel));
    assertThrows(IllegalArgumentException.class, () -> parse("struct Open {\n  int x;"));
  }

  @Test
  void testLayoutIsTheCompilers(@TempDir Path folder) throws Exception {
    StringBuilder source = new StringBuilder("#include <cstddef>\n#include \"arguments.h\"\n");
    for (StructLayout struct : Catalogue.load().structs().values()) {
      claim(source, "sizeof(" + struct.name() + ")", struct.bytes());
      claim(source, "alignof(" + struct.name() + ")", struct.alignment());
      for (FieldLayout field : struct.flattened()) {
        String member = struct.name() + ", " + field.name();
        claim(source, "offsetof(" + member + ")", field.offset());
      }
      for (FieldLayout field : struct.fields()) {
        claim(source, "sizeof(" + struct.name() + "::" + field.name() + ")", field.bytes());
      }
    }
    Path file = folder.resolve("layout.cpp");
    Files.writeString(file, source);
    assertEquals("", compile(file));
    claim(source, "sizeof(CacheView)", 1);
    Files.writeString(file, source);
    assertTrue(compile(file).contains("sizeof(CacheView)"));
  }

  private static void claim(StringBuilder source, String expression, int value) {
    source.append("static_assert(%s == %d, \"%s\");\n".formatted(expression, value, expression));
  }

  /** What the host compiler says of a file: nothing if all is well. */
  private static String compile(Path file) throws Exception {
    ProcessBuilder compiler =
        new ProcessBuilder(
            "g++",
            "-std=c++17",
            "-fsyntax-only",
            "-I",
            HEADER.getParent().toString(),
            file.toString());
    Process process;
    try {
      process = compiler.redirectErrorStream(true).start();
    } catch (IOException e) {
      Assumptions.abort("no host compiler here: " + e.getMessage());
      return "";
    }
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return process.waitFor() == 0 ? "" : said;
  }

  private static Catalogue parse(String text) {
    return Catalogue.parse("x.h", text.getBytes(StandardCharsets.UTF_8));
  }
}
