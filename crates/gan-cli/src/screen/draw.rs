//! Where everything stands on the screen.

use super::State;
use super::curves::Curve;
use crate::progress::significant;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};

const ACCENT: Color = Color::Cyan;

pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let log = (frame.area().height / 4).max(3);
    let [top, middle, below, keys] =
        Layout::vertical([Constraint::Length(3), Constraint::Min(0), Constraint::Length(log), Constraint::Length(1)])
            .areas(frame.area());
    progress(frame, state, top);
    let names = state.curves.iter().map(|curve| curve.name.chars().count()).max().unwrap_or(0).min(24) as u16;
    let [list, chart] = Layout::horizontal([Constraint::Length(names + 14), Constraint::Min(0)]).areas(middle);
    losses(frame, state, list);
    match state.curves.get(state.chosen) {
        Some(curve) => curve_of(frame, curve, state.log_scale, chart),
        None => frame.render_widget(Paragraph::new("no log point yet").block(Block::bordered()), chart),
    }
    let lines = usize::from(below.height.saturating_sub(2));
    let shown = state.log.iter().skip(state.log.len().saturating_sub(lines)).map(|line| Line::raw(line.as_str()));
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()).block(Block::bordered().title(" log ")), below);
    let paused = if state.paused { "go on drawing" } else { "pause drawing" };
    let stop = if state.stopping { "saving … (q again: quit now)" } else { "save and stop" };
    let help = [("q", stop), ("space", paused), ("tab", "next loss"), ("l", "log scale")];
    let spans =
        help.iter().flat_map(|(key, what)| [Span::styled(format!(" {key} "), bold()), Span::raw(format!("{what} "))]);
    frame.render_widget(Line::from(spans.collect::<Vec<_>>()), keys);
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn progress(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let (step, total, facts) = &state.progress;
    let share = if *total == 0 { 0.0 } else { (*step as f64 / *total as f64).clamp(0.0, 1.0) };
    let gauge = Gauge::default()
        .block(Block::bordered().title(format!(" {} ", state.title)))
        .gauge_style(Style::new().fg(ACCENT))
        .ratio(share)
        .label(format!("step {step}/{total}  {facts}"));
    frame.render_widget(gauge, area);
}

fn losses(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let line = |(at, curve): (usize, &Curve)| {
        let mark = if at == state.chosen { "›" } else { " " };
        let style = if at == state.chosen { bold().fg(ACCENT) } else { Style::new() };
        Line::styled(format!("{mark} {:<}  {}", curve.name, significant(curve.last)), style)
    };
    let lines: Vec<_> = state.curves.iter().enumerate().map(line).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" losses ")), area);
}

fn curve_of(frame: &mut Frame<'_>, curve: &Curve, log_scale: bool, area: Rect) {
    // Values that have no logarithm are left out.
    let scaled: Vec<(f64, f64)> = match log_scale {
        true => curve.points.iter().filter(|(_, y)| *y > 0.0).map(|(x, y)| (*x, y.log10())).collect(),
        false => curve.points.clone(),
    };
    let back = |y: f64| if log_scale { 10f64.powf(y) } else { y };
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = || scaled.iter().map(of);
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let room = if most > least { (most - least) * 0.03 } else { 0.5 };
        if least.is_finite() { [least - room, most + room] } else { [0.0, 1.0] }
    };
    let (x, y) = (range(|point| point.0), range(|point| point.1));
    let data = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(Style::new().fg(ACCENT))
        .data(&scaled);
    let steps = [x[0].max(0.0), x[1]].map(|step| format!("{step:.0}"));
    let values = [y[0], (y[0] + y[1]) / 2.0, y[1]].map(|value| significant(back(value)));
    let scale = if log_scale { ", log scale" } else { "" };
    let chart = Chart::new(vec![data])
        .block(Block::bordered().title(format!(" {}{scale} ", curve.name)))
        .x_axis(Axis::default().bounds(x).labels(steps))
        .y_axis(Axis::default().bounds(y).labels(values));
    frame.render_widget(chart, area);
}
