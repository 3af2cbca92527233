package dev.bulkgen.spark.config;

import java.util.Optional;
import java.util.OptionalLong;

/** Where the rows come from and what in them is the prompt. */
public record InputSettings(
    String path,
    InputFormat format,
    PromptForm form,
    Optional<String> systemPrompt,
    Optional<String> idColumn,
    Optional<String> answerColumn,
    OptionalLong limit) {

  /** What a row's prompt is made of. */
  public sealed interface PromptForm {
    /** A column of text or token ids; no name means the format's own default. */
    record Column(Optional<String> name, Wrapping wrapping) implements PromptForm {}

    record MessagesColumn(String name) implements PromptForm {}

    record Template(String text, Wrapping wrapping) implements PromptForm {}
  }

  /** Whether a prompt goes to the model as it is or as a user message. */
  public enum Wrapping {
    PLAIN,
    CHAT
  }
}
