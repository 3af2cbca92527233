package dev.bulkgen.spark.deploy;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The examples in documents: blocks between fences. */
public final class Documents {
  private static final Pattern FENCE = Pattern.compile("(?ms)^```(\\w*)\\n(.*?)^```$");

  private Documents() {}

  /**
   * @param language behind the fence; may be empty
   */
  public record Block(String file, String language, String text) {
    /** Commands of a shell: continued lines are one, comments and blank lines are none. */
    public List<String> commands() {
      return text.replaceAll("\\\\\\n\\s*", "")
          .lines()
          .map(line -> line.replaceFirst("\\s+#.*", "").strip())
          .filter(line -> !line.isEmpty() && !line.startsWith("#"))
          .toList();
    }

    String firstLine() {
      return text.lines().findFirst().orElse("");
    }

    @Override
    public String toString() {
      return file + ": " + firstLine();
    }
  }

  public static List<Block> blocks(String... files) throws IOException {
    List<Block> blocks = new ArrayList<>();
    for (String file : files) {
      Matcher fence = FENCE.matcher(DeployFiles.text(file));
      while (fence.find()) {
        blocks.add(new Block(file, fence.group(1), fence.group(2)));
      }
    }
    return blocks;
  }
}
