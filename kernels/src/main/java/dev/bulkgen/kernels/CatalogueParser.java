package dev.bulkgen.kernels;

import dev.bulkgen.kernels.FieldLayout.Type;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads the header's small grammar, line by line, and lays the structs out. */
final class CatalogueParser {
  private static final String IDENTIFIER = "[A-Za-z][A-Za-z0-9]*";

  private static final Pattern KERNEL =
      Pattern.compile("// kernel ([a-z0-9_]+)/([a-z0-9_]+): (" + IDENTIFIER + "), (\\d{1,4})");
  private static final Pattern STRUCT = Pattern.compile("struct (" + IDENTIFIER + ") \\{");
  private static final Pattern FIELD =
      Pattern.compile(
          "(const )?(unsigned char|unsigned short|long long|"
              + IDENTIFIER
              + ")(\\*)? ("
              + IDENTIFIER
              + ");\\s*(//.*)?");

  // Elements that pointers may point to, besides numbers and structs.
  private static final Set<String> NARROW = Set.of("unsigned char", "unsigned short");

  private static final Map<String, Type> NUMBERS =
      Map.of(
          "int", Type.INT, "unsigned", Type.UNSIGNED, "float", Type.FLOAT, "long long", Type.LONG);

  private static final int WARP = 32;
  private static final int MOST_THREADS = 1024;

  private record Mention(int line, String family, String struct, int threads) {}

  private final String file;
  private final Map<String, StructLayout> structs = new LinkedHashMap<>();
  private final Map<String, KernelSignature> kernels = new LinkedHashMap<>();
  private final Map<String, Mention> mentions = new LinkedHashMap<>();

  private int line;
  private String open; // the struct being read, or null
  private final List<FieldLayout> fields = new ArrayList<>();
  private final Set<String> names = new HashSet<>();
  private int end;
  private int alignment;

  CatalogueParser(String file) {
    this.file = file;
  }

  Map<String, StructLayout> structs() {
    return structs;
  }

  Map<String, KernelSignature> kernels() {
    return kernels;
  }

  void read(String text) {
    for (String raw : text.split("\n", -1)) {
      line++;
      String content = raw.strip();
      if (open != null) {
        readInside(content);
      } else {
        readOutside(content);
      }
    }
    require(open == null, "struct %s has no end", open);
    // A kernel's line stands before its struct, so kernels are resolved last.
    mentions.forEach(this::addKernel);
  }

  private void readOutside(String content) {
    Matcher struct = STRUCT.matcher(content);
    if (content.startsWith("// kernel ")) {
      readKernel(content);
    } else if (struct.matches()) {
      open = struct.group(1);
      require(!structs.containsKey(open), "struct %s stands here twice", open);
      fields.clear();
      names.clear();
      end = 0;
      alignment = 1;
    } else {
      boolean harmless =
          content.isEmpty() || content.startsWith("//") || content.equals("#pragma once");
      require(harmless, "not part of the catalogue's grammar: %s", content);
    }
  }

  private void readKernel(String content) {
    Matcher kernel = KERNEL.matcher(content);
    require(kernel.matches(), "not `// kernel FILE/NAME: Struct, THREADS`: %s", content);
    int threads = Integer.parseInt(kernel.group(4));
    require(
        threads >= WARP && threads <= MOST_THREADS && threads % WARP == 0,
        "%d threads are not whole warps of at most %d threads",
        threads,
        MOST_THREADS);
    String name = kernel.group(2);
    Mention mention = new Mention(line, kernel.group(1), kernel.group(3), threads);
    require(mentions.put(name, mention) == null, "kernel %s stands here twice", name);
  }

  private void addKernel(String name, Mention mention) {
    line = mention.line();
    StructLayout arguments = structs.get(mention.struct());
    require(arguments != null, "kernel %s takes an unknown struct %s", name, mention.struct());
    kernels.put(name, new KernelSignature(name, mention.family(), arguments, mention.threads()));
  }

  private void readInside(String content) {
    if (content.equals("};")) {
      require(!fields.isEmpty(), "struct %s has no fields", open);
      int bytes = roundUp(end, alignment);
      structs.put(open, new StructLayout(open, fields, bytes, alignment));
      open = null;
      return;
    }
    if (content.isEmpty() || content.startsWith("//")) {
      return;
    }
    Matcher field = FIELD.matcher(content);
    require(field.matches(), "not a field of the catalogue's grammar: %s", content);
    boolean isPointer = field.group(3) != null;
    String type = field.group(2);
    String name = field.group(4);
    require(names.add(name), "field %s stands twice in struct %s", name, open);
    require(isPointer || field.group(1) == null, "field %s is const, but no pointer", name);
    boolean isKnown = NUMBERS.containsKey(type) || structs.containsKey(type);
    require(isKnown || isPointer && NARROW.contains(type), "field %s: unknown %s", name, type);
    StructLayout nested = isPointer ? null : structs.get(type);
    place(name, isPointer ? Type.POINTER : NUMBERS.getOrDefault(type, Type.STRUCT), nested);
  }

  private void place(String name, Type type, StructLayout nested) {
    int own = FieldLayout.alignment(type, nested);
    FieldLayout field = new FieldLayout(name, type, roundUp(end, own), nested);
    fields.add(field);
    end = field.offset() + field.bytes();
    alignment = Math.max(alignment, own);
  }

  private static int roundUp(int value, int multiple) {
    return (value + multiple - 1) / multiple * multiple;
  }

  private void require(boolean holds, String format, Object... arguments) {
    if (!holds) {
      throw new IllegalArgumentException(
          file + ":" + line + ": " + String.format(format, arguments));
    }
  }
}
