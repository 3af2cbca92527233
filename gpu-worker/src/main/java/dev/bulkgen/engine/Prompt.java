package dev.bulkgen.engine;

import java.util.List;

/** What a row asks the model. */
public sealed interface Prompt {
  record Text(String text) implements Prompt {}

  /** For the model's chat template. */
  record Messages(List<Message> messages) implements Prompt {
    public Messages {
      messages = List.copyOf(messages);
    }
  }

  record Message(String role, String content) {}

  /** Token ids as they are: no tokenizer, no BOS added. */
  record Tokens(int[] ids) implements Prompt {}
}
