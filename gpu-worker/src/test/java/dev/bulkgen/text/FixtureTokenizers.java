package dev.bulkgen.text;

import dev.bulkgen.Fixtures;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Tokenizers of the golden data, each loaded once. */
final class FixtureTokenizers {
  private static final Map<Path, Tokenizer> LOADED = new ConcurrentHashMap<>();

  private FixtureTokenizers() {}

  static Tokenizer of(String folder) {
    return LOADED.computeIfAbsent(Fixtures.path(folder), Tokenizer::load);
  }
}
