package dev.bulkgen.spark.cli;

import dev.bulkgen.cli.DoctorCommand;
import dev.bulkgen.cli.InspectCommand;
import dev.bulkgen.cli.PlanCommand;
import dev.bulkgen.cli.bench.BenchCommand;
import dev.bulkgen.config.Suggestion;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.config.SettingCatalogue;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.job.JobConsole;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** The command line. Errors of the user's come as one message; the log file has the trace. */
@Command(
    name = "bulkgen",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    description =
        "Bulk generation and scoring with a language model over a dataset, as a Spark job.",
    synopsisSubcommandLabel = "COMMAND",
    footer = {
      "",
      "Example:",
      "  bulkgen generate --model examples/models/recall --input examples/prompts.jsonl --output results",
      "bulkgen help COMMAND tells the options of a command."
    })
public final class Main implements Runnable {
  private static final Logger LOG = LogManager.getLogger(Main.class);

  private static final int WIDTH = 110;

  @CommandLine.Spec private CommandLine.Model.CommandSpec spec;

  /** From the jar's manifest. */
  static final class Version implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
      String version = Main.class.getPackage().getImplementationVersion();
      return new String[] {"bulkgen " + (version == null ? "(development)" : version)};
    }
  }

  public static void main(String[] arguments) {
    boolean terminal = Boolean.parseBoolean(System.getProperty("bulkgen.terminal", "false"));
    JobConsole console =
        new JobConsole(
            System.out, System.err, terminal ? JobConsole.Kind.TERMINAL : JobConsole.Kind.FILE);
    System.exit(run(console, arguments));
  }

  /** The exit status. */
  public static int run(JobConsole console, String... arguments) {
    CommandLine line =
        new CommandLine(new Main())
            .addSubcommand("generate", JobCommand.create(TaskType.GENERATE, console))
            .addSubcommand("score", JobCommand.create(TaskType.SCORE, console))
            .addSubcommand("plan", new PlanCommand(SettingCatalogue.settings()))
            .addSubcommand("inspect", new InspectCommand())
            .addSubcommand("doctor", new DoctorCommand())
            .addSubcommand("bench", new BenchCommand())
            .addSubcommand("help", new CommandLine.HelpCommand());
    line.setUsageHelpWidth(WIDTH);
    line.setOut(new PrintWriter(console.out(), true));
    line.setErr(new PrintWriter(console.err(), true));
    line.setUnmatchedOptionsAllowedAsOptionParameters(false);
    line.setParameterExceptionHandler(Main::wrongUse);
    line.setExecutionExceptionHandler((e, command, result) -> failed(e, command));
    return line.execute(arguments);
  }

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }

  private static int wrongUse(ParameterException e, String[] arguments) {
    CommandLine command = e.getCommandLine();
    PrintWriter err = command.getErr();
    if (e instanceof UnmatchedArgumentException unmatched) {
      // The value after a mistyped option is left over too, and is no mistake of its own.
      List<String> options =
          unmatched.getUnmatched().stream().filter(word -> word.startsWith("-")).toList();
      for (String argument : options.isEmpty() ? unmatched.getUnmatched() : options) {
        err.println("bulkgen: " + unknown(argument, command));
      }
    } else {
      err.println("bulkgen: " + e.getMessage());
    }
    err.println("Try: " + command.getCommandSpec().qualifiedName() + " --help");
    return ExitCode.ERROR.status();
  }

  private static String unknown(String argument, CommandLine command) {
    List<String> known = new ArrayList<>(command.getCommandSpec().optionsMap().keySet());
    known.addAll(command.getSubcommands().keySet());
    int equals = argument.indexOf('=');
    String name = equals < 0 ? argument : argument.substring(0, equals);
    Optional<String> nearest = Suggestion.nearest(name, known);
    if (!name.startsWith("-") && command.getSubcommands().isEmpty()) {
      return "'" + name + "' stands alone: is an option missing before it?";
    }
    String kind = name.startsWith("-") ? "option" : "command";
    return kind
        + " '"
        + name
        + "' is unknown"
        + nearest.map(option -> ": did you mean " + option + "?").orElse("");
  }

  private static int failed(Exception e, CommandLine command) {
    LOG.debug("the command failed", e);
    if (e instanceof BulkgenException known) {
      command.getErr().println("bulkgen: " + known.getMessage());
      return ExitCode.of(known.code()).status();
    }
    LOG.error("unexpected error: {}", e.toString());
    command.getErr().println("bulkgen: unexpected error: " + e + "; the log file has the trace");
    return ExitCode.ERROR.status();
  }
}
