package dev.bulkgen.engine;

import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/** What a row asks the model. */
public sealed interface Prompt {
  record Text(String text) implements Prompt {}

  /**
   * For the model's chat template; null or with null in it, it is an error of its row.
   *
   * @param today what the template may print as today; empty: the day the engine was opened
   */
  record Messages(List<Message> messages, Optional<LocalDateTime> today) implements Prompt {
    public Messages {
      messages =
          messages == null ? List.of() : Collections.unmodifiableList(new ArrayList<>(messages));
    }

    public Messages(List<Message> messages) {
      this(messages, Optional.empty());
    }
  }

  /** The same for a job that began then: its rows print that day however often it is resumed. */
  default Prompt at(LocalDateTime begun) {
    return this instanceof Messages chat ? new Messages(chat.messages(), Optional.of(begun)) : this;
  }

  record Message(String role, String content) {}

  /** Token ids as they are: no tokenizer, no BOS added. */
  record Tokens(int[] ids) implements Prompt {}
}
