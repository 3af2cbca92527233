import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Makes prompts.jsonl: {@code java examples/MakePrompts.java > examples/prompts.jsonl}. Every prompt
 * states facts, {@code name value .}, with filler words between, and ends with a name it has
 * stated; the answer is that name's value.
 */
public final class MakePrompts {
  private static final List<String> FILLER =
      Arrays.asList(
          "a and by cat door fell green hill is old on rain sat sun the up while".split(" "));
  private static final int ROWS = 200;
  private static final int LEAST_FACTS = 20;
  private static final int MOST_FACTS = 150;

  public static void main(String[] arguments) throws IOException {
    List<String> names = names(Path.of(arguments.length > 0 ? arguments[0] : "examples/models/recall/tokenizer.json"));
    Random random = new Random(20);
    StringBuilder lines = new StringBuilder();
    for (int row = 0; row < ROWS; row++) {
      Collections.shuffle(names, random);
      int facts = LEAST_FACTS + random.nextInt(MOST_FACTS - LEAST_FACTS + 1);
      lines.append(row(row, names.subList(0, facts), random)).append('\n');
    }
    System.out.print(lines);
  }

  /** The whole words of the vocabulary that are no filler: from "ada" on they are all names. */
  private static List<String> names(Path tokenizer) throws IOException {
    Matcher words = Pattern.compile("\"([a-z]+)\": ([0-9]+)").matcher(Files.readString(tokenizer));
    List<String> names = new ArrayList<>();
    while (words.find()) {
      if (Integer.parseInt(words.group(2)) > 120) {
        names.add(words.group(1));
      }
    }
    return names;
  }

  private static String row(int row, List<String> names, Random random) {
    List<String> words = new ArrayList<>();
    int asked = random.nextInt(names.size());
    String answer = "";
    for (int fact = 0; fact < names.size(); fact++) {
      while (random.nextInt(4) == 0) {
        words.add(FILLER.get(random.nextInt(FILLER.size())));
      }
      String value = String.format(Locale.ROOT, "%02d", random.nextInt(100));
      words.addAll(List.of(names.get(fact), value, "."));
      answer = fact == asked ? value : answer;
    }
    words.add(names.get(asked));
    return String.format(
        Locale.ROOT,
        "{\"id\": \"recall-%03d\", \"prompt\": \"%s\", \"answer\": \"%s\"}",
        row,
        String.join(" ", words),
        answer);
  }
}
