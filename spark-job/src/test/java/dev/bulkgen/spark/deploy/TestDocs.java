package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.api.PythonDriver;
import dev.bulkgen.spark.cli.Main;
import dev.bulkgen.spark.deploy.Documents.Block;
import dev.bulkgen.spark.job.JobConsole;
import dev.bulkgen.spark.job.JobRun;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.apache.spark.deploy.SparkSubmitArguments;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The examples of README and documents. Java, SQL and Python run as they are written, but for where
 * model and data lie; commands are read as those read them who would run them.
 */
class TestDocs {
  private static final String[] FILES = {"README.md", "docs/spark-api.md", "deploy/README.md"};

  /** What only a cluster, a distribution of Spark, a card or another program could run. */
  private static final List<String> ELSEWHERE =
      List.of(
          "spark-shell",
          "start-connect-server.sh",
          "docker",
          "kubectl",
          "mvn",
          "tar",
          "bulkgen-gpu-check/run");

  /** Blocks that show what a command prints. */
  private static final List<String> OUTPUTS =
      List.of("bulkgen: building the jars", "This machine", "N passed", "  greedy");

  @TempDir Path folder;

  private SparkSession spark;
  private Dataset<Row> questions;

  static Stream<Block> java() throws Exception {
    return inLanguage("java");
  }

  static Stream<Block> sql() throws Exception {
    return inLanguage("sql");
  }

  static Stream<Block> python() throws Exception {
    return inLanguage("python");
  }

  static Stream<Block> others() throws Exception {
    return Documents.blocks(FILES).stream()
        .filter(block -> block.language().isEmpty() || block.language().equals("sh"));
  }

  private static Stream<Block> inLanguage(String language) throws Exception {
    List<Block> blocks =
        Documents.blocks(FILES).stream()
            .filter(block -> block.language().equals(language))
            .toList();
    assertTrue(!blocks.isEmpty(), language);
    return blocks.stream();
  }

  @BeforeEach
  void prepare() throws Exception {
    spark = Sessions.shared().newSession();
    spark.conf().set("spark.bulkgen.memory", "64MB");
    spark.conf().set("spark.bulkgen.max-batch", "16");
    spark.conf().set("spark.bulkgen.max-tokens", "4");
    String prompts = JobRun.prompts(folder.resolve("prompts.jsonl"), 4).toString();
    Files.createDirectory(folder.resolve("incoming"));
    Files.copy(Path.of(prompts), folder.resolve("incoming/new.jsonl"));
    questions = spark.read().json(prompts);
  }

  /** The example with paths that are there. */
  private String here(Block block) {
    return block.text().replace("/models/my-model", JobRun.MODEL).replace("/data/", folder + "/");
  }

  @ParameterizedTest
  @MethodSource("java")
  void testJava(Block block) throws Exception {
    String source =
        "import dev.bulkgen.spark.api.Bulkgen;\n"
            + "import org.apache.spark.sql.*;\n"
            + "import org.apache.spark.sql.streaming.Trigger;\n"
            + "public class Example {\n"
            + "  public static void run(SparkSession spark"
            + (block.text().contains("> questions =") ? "" : ", Dataset<Row> questions")
            + ") throws Exception {\n"
            + here(block)
            + "  }\n}\n";
    Path file = Files.writeString(folder.resolve("Example.java"), source);
    int status =
        ToolProvider.getSystemJavaCompiler()
            .run(null, null, null, "-cp", classPath(), "-d", folder.toString(), file.toString());
    assertEquals(0, status, source);
    try (URLClassLoader loader =
        new URLClassLoader(new URL[] {folder.toUri().toURL()}, getClass().getClassLoader())) {
      Method run = loader.loadClass("Example").getMethods()[0];
      Object[] arguments = {spark, questions};
      run.invoke(null, List.of(arguments).subList(0, run.getParameterCount()).toArray());
    }
    Matcher output = Pattern.compile("output\\(\"/data/([a-z]+)\"").matcher(block.text());
    assertTrue(output.find(), source);
    Path results = folder.resolve(output.group(1));
    assertEquals(4, spark.read().parquet(results.toString()).count());
  }

  /** Surefire hides the class path in the manifest of one jar. */
  private static String classPath() {
    return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
  }

  @ParameterizedTest
  @MethodSource("sql")
  void testSql(Block block) {
    if (!block.text().contains("VIEW prompts")) {
      questions.createOrReplaceTempView("prompts");
    }
    spark.conf().set("spark.bulkgen.model", JobRun.MODEL);
    List<Row> last = List.of();
    for (String statement : here(block).split(";\\s*")) {
      last = spark.sql(statement).collectAsList();
    }
    assertTrue(last.size() >= 3, last.toString());
  }

  @ParameterizedTest
  @MethodSource("python")
  void testPython(Block block) throws Exception {
    Path example = Files.writeString(folder.resolve("example.py"), here(block));
    String said = new PythonDriver(spark, questions).run("example.py", example.toString());
    assertEquals("rows 4", said.strip());
  }

  @ParameterizedTest
  @MethodSource("others")
  void testCommands(Block block) throws Exception {
    String text = block.text().replaceFirst("^\\d+ passed", "N passed");
    if (OUTPUTS.stream().anyMatch(text::startsWith)) {
      return;
    }
    for (String command : block.commands()) {
      check(command.replaceFirst("^([A-Z_]+=\\S+ )+", ""));
    }
  }

  private static void check(String command) throws Exception {
    List<String> words = new ArrayList<>(List.of(command.replace("'", "").split("\\s+")));
    String program = words.remove(0);
    int properties = words.indexOf("--properties-file") + 1;
    if (properties > 0) {
      TestSparkProperties.check(DeployFiles.properties(words.get(properties)));
      words.set(properties, DeployFiles.ROOT.resolve(words.get(properties)).toString());
    }
    if (program.equals("bin/bulkgen")) {
      checkOurs(command, words);
    } else if (program.equals("spark-submit")) {
      SparkSubmitArguments read = CommandLines.sparkSubmit(words);
      CommandLines.check(CommandLines.application(read));
    } else if (program.startsWith("deploy/")) {
      assertTrue(Files.isExecutable(DeployFiles.ROOT.resolve(program)), program);
      CommandLines.check(words);
    } else if (ELSEWHERE.contains(program)) {
      for (String word : words) {
        boolean ours = word.startsWith("deploy/") || word.startsWith("conf/");
        assertTrue(!ours || Files.exists(DeployFiles.ROOT.resolve(word)), word);
      }
    } else {
      fail("no one reads: " + command);
    }
  }

  /** Our own commands: their names and options are known. */
  private static void checkOurs(String command, List<String> words) throws Exception {
    if (List.of("generate", "score").contains(words.get(0)) && words.contains("--output")) {
      CommandLines.check(words.stream().filter(word -> !word.isEmpty()).toList());
      return;
    }
    PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
    int status =
        Main.run(new JobConsole(nowhere, nowhere, JobConsole.Kind.FILE), words.get(0), "--help");
    assertEquals(0, status, command);
  }
}
